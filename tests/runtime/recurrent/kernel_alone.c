/* The kernel without Python, beside loops in double: for processors that tests can reach by an emulator alone.
   scripts/cross_kernel builds and runs it. Python's functions stay unresolved, and are never called. */

#include "_kernel.c"
#include <math.h>
#include <stdio.h>

static uint32_t seed = 1;
static float drawn(void) /* -1 to 1 */
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int32_t)seed / 2147483648.0);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* W (columns, inner, units) as the kernel reads it; of one gate, groups of four tiles. */
static float *pack(const float *W, long columns, long inner, long units, long lanes, int one_gate)
{
    const long tiles = (units + lanes - 1) / lanes;
    float *packed = calloc((size_t)(tiles * lanes * inner * columns + 1), 4);
    for (long g = 0; g < columns; g++)
        for (long k = 0; k < inner; k++)
            for (long u = 0; u < units; u++) {
                const long tile = u / lanes, lane = u % lanes, group = tile / 4, left = tiles - 4 * group;
                const long at = one_gate ? (group * 4 * inner + k * (left < 4 ? left : 4) + tile % 4) * lanes
                                         : ((tile * inner + k) * columns + g) * lanes;
                packed[at + lane] = W[(g * inner + k) * units + u];
            }
    return packed;
}

static float *draw(long count)
{
    float *numbers = malloc((size_t)(count + 1) * 4);
    for (long i = 0; i < count; i++) numbers[i] = drawn() * 0.2f;
    return numbers;
}

/* W (columns, inner, units) as int8 with a scale for each of its columns: fills the places of the matrix and of its scales
   in a cell, and W with what they stand for. */
static void pack_int8(Cell *cell, int which, float *W, long columns, long inner, long units, int one_gate)
{
    const long fours = (inner + 3) / 4, lanes = cell->set->lanes;
    float *q = calloc((size_t)(columns * fours * units), 4), *scales = calloc((size_t)(2 * columns * units), 4);
    for (long g = 0; g < columns; g++)
        for (long u = 0; u < units; u++) {
            float most = 0, *scale = scales + 2 * g * units + u, *sum = scale + units;
            for (long k = 0; k < inner; k++) most = fmaxf(most, fabsf(W[(g * inner + k) * units + u]));
            *scale = most / 127;
            for (long k = 0; k < inner; k++) {
                float *w = W + (g * inner + k) * units + u;
                const int8_t number = (int8_t)(most > 0 ? lrintf(*w / *scale) : 0);
                ((int8_t *)(q + (g * fours + k / 4) * units + u))[k % 4] = number;
                *w = number * *scale;
                *sum += number;
            }
        }
    cell->weights[which].data = (char *)pack(q, columns, fours, units, lanes, one_gate);
    cell->weights[which + W_SCALE].data = (char *)pack(scales, 2 * columns, 1, units, lanes, 0);
}

/* The largest difference of the outputs of a cell of random weights and inputs, with a masked step here and there. */
static double check(const InstructionSet *set, int kind, long n, long u, long batch, long steps, int threads,
                    int int8)
{
    static const long REAL_U[] = {4, 3, 3, 1}, REAL_B[] = {4, 4, 3, 1};
    const long gates = COLUMNS_W[kind];
    float *W = draw(gates * n * u), *U = draw(REAL_U[kind] * u * u), *b = draw(4 * u);
    float *x = draw(batch * steps * n), *y = calloc((size_t)(batch * steps * u), 4);
    float *h = calloc((size_t)(batch * u), 4), *c = calloc((size_t)(batch * u), 4);
    char *mask = malloc((size_t)(batch * steps));
    for (long i = 0; i < batch * steps; i++) mask[i] = drawn() < 0.6f;

    Cell cell = {.set = set, .kind = kind, .finite = 1, .features = n, .units = u};
    cell.tiles = (u + set->lanes - 1) / set->lanes;
    const int one = kind == SIMPLE_RNN;
    float *const U_h = kind == GRU_BEFORE ? U + 2 * u * u : NULL;
    if (int8) {
        pack_int8(&cell, W_, W, COLUMNS_W[kind], n, u, one);
        pack_int8(&cell, U_, U, COLUMNS_U[kind], u, u, one);
        if (U_h) pack_int8(&cell, U_H_, U_h, 1, u, u, 1);
    } else {
        cell.weights[W_].data = (char *)pack(W, COLUMNS_W[kind], n, u, set->lanes, one);
        cell.weights[U_].data = (char *)pack(U, COLUMNS_U[kind], u, u, set->lanes, one);
        if (U_h) cell.weights[U_H_].data = (char *)pack(U_h, 1, u, u, set->lanes, 1);
    }
    float *bias = calloc(16, (size_t)u);
    memcpy(bias, b, (size_t)(REAL_B[kind] * u) * 4);
    cell.weights[B_].data = (char *)pack(bias, COLUMNS_B[kind], 1, u, set->lanes, 0);
    Call call = {.cell = &cell, .batch = batch, .steps = steps};
    Array *a = call.array;
    a[X].data = (char *)x, a[X].stride[0] = steps * n * 4, a[X].stride[1] = n * 4;
    a[MASK].data = mask, a[MASK].stride[0] = steps, a[MASK].stride[1] = 1;
    a[Y].data = (char *)y, a[Y].stride[0] = steps * u * 4, a[Y].stride[1] = u * 4;
    a[H_NEW].data = (char *)h, a[H_NEW].stride[0] = u * 4;
    a[C_NEW].data = kind == LSTM ? (char *)c : NULL, a[C_NEW].stride[0] = u * 4;
    if (run_all(&call, 1, threads)) return INFINITY;

    double worst = 0, *H = malloc((size_t)u * 8), *new = malloc((size_t)u * 8), *cc = malloc((size_t)u * 8);
    double *shown = malloc((size_t)u * 8);
    for (long r = 0; r < batch; r++) {
        for (long i = 0; i < u; i++) H[i] = cc[i] = shown[i] = 0;
        for (long t = 0; t < steps; t++) {
            const float *xt = x + (r * steps + t) * n;
            for (long i = 0; i < u && mask[r * steps + t]; i++) {
                double zx[4] = {0}, zh[4] = {0};
                for (long g = 0; g < gates; g++) {
                    for (long k = 0; k < n; k++) zx[g] += (double)W[(g * n + k) * u + i] * xt[k];
                    for (long k = 0; k < u; k++) {
                        double of = H[k];
                        if (kind == GRU_BEFORE && g == 2) { /* r of unit k */
                            double s = b[u + k];
                            for (long m = 0; m < n; m++) s += (double)W[(n + m) * u + k] * xt[m];
                            for (long m = 0; m < u; m++) s += (double)U[(u + m) * u + k] * H[m];
                            of *= sigmoid(s);
                        }
                        zh[g] += (double)U[(g * u + k) * u + i] * of;
                    }
                }
                if (kind == LSTM) {
                    cc[i] = sigmoid(zx[1] + zh[1] + b[u + i]) * cc[i] +
                            sigmoid(zx[0] + zh[0] + b[i]) * tanh(zx[2] + zh[2] + b[2 * u + i]);
                    new[i] = sigmoid(zx[3] + zh[3] + b[3 * u + i]) * tanh(cc[i]);
                } else if (kind == SIMPLE_RNN) {
                    new[i] = tanh(zx[0] + zh[0] + b[i]);
                } else {
                    const double z = sigmoid(zx[0] + zh[0] + b[i]), s = sigmoid(zx[1] + zh[1] + b[u + i]);
                    const double candidate = kind == GRU_AFTER ? zx[2] + b[2 * u + i] + s * (zh[2] + b[3 * u + i])
                                                               : zx[2] + b[2 * u + i] + zh[2];
                    new[i] = z * H[i] + (1 - z) * tanh(candidate);
                }
            }
            if (mask[r * steps + t])
                for (long i = 0; i < u; i++) H[i] = shown[i] = new[i];
            for (long i = 0; i < u; i++) {
                const double apart = fabs(y[(r * steps + t) * u + i] - shown[i]);
                if (!(apart <= worst)) worst = apart;
            }
        }
        for (long i = 0; i < u; i++)
            if (!(fabs(h[r * u + i] - H[i]) <= worst)) worst = fabs(h[r * u + i] - H[i]);
    }
    return worst;
}

int main(void)
{
    static const long SIZES[][4] = {{1, 1, 1, 1}, {3, 5, 4, 6}, {8, 33, 7, 5}, {2, 40, 13, 3}, {1, 7, 130, 4},
                                    {5, 130, 12, 9}};
    static const char *const KIND[] = {"LSTM", "GRU, reset after", "GRU, reset before", "SimpleRNN"};
    int failed = 0;
    for (size_t s = 0; s < SET_COUNT; s++) {
        if (!is_supported(&SETS[s])) continue;
        for (int kind = 0; kind < 2 * KINDS; kind++) {
            const int int8 = kind >= KINDS;
            double worst = 0;
            for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
                for (int threads = 1; threads < 4; threads++)
                    worst = fmax(worst, check(&SETS[s], kind % KINDS, SIZES[i][0], SIZES[i][1], SIZES[i][2],
                                              SIZES[i][3], threads, int8));
            printf("%s, %s, %s: at most %.1e from double\n", SETS[s].name, KIND[kind % KINDS],
                   int8 ? "int8" : "float32", worst);
            failed |= !(worst < 2e-6);
        }
    }
    return failed;
}
