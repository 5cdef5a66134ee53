/* The loops of the kernel for one instruction set. `_kernel.c` includes this once for each, after defining

     NAME(f)   the name of f for this instruction set
     LANES     floats in a vector
     ROWS      rows of the batch that one tile takes: as many as leave the accumulators in registers

   A tile is LANES units of up to ROWS rows: one accumulator for each row and column, a column being what a gate takes
   of its units. One loop over the inner dimension fills them, and the activations follow in registers, so that no gate
   is ever written to memory. What a number is made of, and in which order, depends on neither the tile nor the batch
   nor the number of steps: bias, then features in order, then units in order. So parts of a batch, or of a sequence,
   give the bits of the whole. */

typedef float NAME(vf) __attribute__((vector_size(LANES * 4)));
typedef int32_t NAME(vi) __attribute__((vector_size(LANES * 4)));
/* The same in memory, where it is aligned to its numbers alone and may be of any type. */
typedef float NAME(vu) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
#define vf NAME(vf)
#define vi NAME(vi)
#define vu NAME(vu)

INLINE vf NAME(load)(const float *p) { return *(const vu *)p; }
INLINE void NAME(store)(float *p, vf x) { *(vu *)p = x; }
INLINE vf NAME(all)(float x) { return x - (vf){0}; }
INLINE vi NAME(every)(int32_t x) { return x | (vi){0}; }

/* mask ? a : b, bit by bit */
INLINE vf NAME(choose)(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }

/* The `count` first numbers of a vector. */
INLINE vf NAME(load_some)(const char *p, long count)
{
    vf x = {0};
    if (count >= LANES) return NAME(load)((const float *)p);
    memcpy(&x, p, (size_t)count * 4);
    return x;
}

INLINE void NAME(store_some)(char *p, vf x, long count)
{
    if (count >= LANES) NAME(store)((float *)p, x);
    else memcpy(p, &x, (size_t)count * 4);
}

/* The smaller, or the larger, of x and a bound, NaN where x is; and a where x is less than a bound, b elsewhere. */
#if LANES == 16
INLINE vf NAME(at_most)(vf x, float bound) { return _mm512_min_ps(NAME(all)(bound), x); }
INLINE vf NAME(at_least)(vf x, float bound) { return _mm512_max_ps(NAME(all)(bound), x); }
INLINE vf NAME(where_less)(vf x, float bound, vf a, vf b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, NAME(all)(bound), _CMP_LT_OQ), b, a);
}
#else
#if LANES == 8
INLINE vf NAME(at_most)(vf x, float bound) { return _mm256_min_ps(NAME(all)(bound), x); }
INLINE vf NAME(at_least)(vf x, float bound) { return _mm256_max_ps(NAME(all)(bound), x); }
#elif defined(__x86_64__)
INLINE vf NAME(at_most)(vf x, float bound) { return _mm_min_ps(NAME(all)(bound), x); }
INLINE vf NAME(at_least)(vf x, float bound) { return _mm_max_ps(NAME(all)(bound), x); }
#else /* both comparisons are false for NaN */
INLINE vf NAME(at_most)(vf x, float bound) { return NAME(choose)(x > bound, NAME(all)(bound), x); }
INLINE vf NAME(at_least)(vf x, float bound) { return NAME(choose)(x < bound, NAME(all)(bound), x); }
#endif
INLINE vf NAME(where_less)(vf x, float bound, vf a, vf b) { return NAME(choose)(x < bound, a, b); }
#endif

/* e^x = scale (1 + q) for -87 <= x <= 88.7; from 88.4 on the scale is infinite.

   x = n ln 2 + r with |r| <= ln 2 / 2, by Cody and Waite's two parts of ln 2, and e^r = 1 + r + r^2 P(r). Adding MAGIC
   rounds to a whole number and leaves n + 127, the exponent's bits, at the end of the sum. */
INLINE vf NAME(exp_parts)(vf x, vf *scale)
{
    const float MAGIC = 12582912.0f + 127.0f; /* 1.5 * 2^23 */
    vf t = x * 1.44269504f + MAGIC, n = t - MAGIC;
    vf r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf p = r * 0.001395048625f + 0.00836888786f;
    p = p * r + 0.04166620587f;
    p = p * r + 0.1666651885f;
    p = p * r + 0.5000000095f;
    *scale = (vf)((vi)t << 23);
    return p * (r * r) + r;
}

/* 1 + e^-x: what is divided by it is weighed by the sigmoid of x. Infinity where the sigmoid is below 4e-39. */
INLINE vf NAME(weight)(vf x)
{
    vf scale, q = NAME(exp_parts)(-NAME(at_least)(NAME(at_most)(x, 87.0f), -88.7f), &scale);
    return (q + 1.0f) * scale + 1.0f;
}

/* tanh x as a fraction: x + x^3 P(x^2) below 0.625, above it (e^2|x| - 1) / (e^2|x| + 1) with the sign of x. From 10
   on, where it is 1, |x| is taken for 10. */
INLINE void NAME(tanh_fraction)(vf x, vf *numerator, vf *denominator)
{
    const vi sign = NAME(every)(INT32_MIN);
    const vf size = (vf)((vi)x & ~sign), z = x * x;
    vf p = z * -0.005717036657f + 0.02065057910f;
    p = p * z + -0.05374349529f;
    p = p * z + 0.1333149125f;
    p = p * z + -0.3333328392f;
    p = p * (x * z) + x;
    const vf twice = NAME(at_most)(size + size, 20.0f);
    vf scale, q = NAME(exp_parts)(twice, &scale);
    const vf d = scale * q + (scale + 1.0f); /* d - 2 is exact, so that what d was rounded by weighs little */
    const vf n = NAME(choose)(sign, x, d - 2.0f);
    *numerator = NAME(where_less)(size, 0.625f, p, n);
    *denominator = NAME(where_less)(size, 0.625f, NAME(all)(1.0f), d);
}

INLINE vf NAME(tanh)(vf x)
{
    vf numerator, denominator;
    NAME(tanh_fraction)(x, &numerator, &denominator);
    return numerator / denominator;
}

/* acc += a w for `rows` rows a of `inner` numbers and the panels w of `tiles` tiles, (inner, columns, LANES) each; the
   last of the columns goes into acc[.][.][last]. All but w, a and inner are constants where this is inlined. */
INLINE void NAME(accumulate)(
    vf acc[2][ROWS][4], const int tiles, const int rows, const int columns, const int last,
    const float *w, const float *const *a, const long inner)
{
    const float *w1 = w + inner * columns * LANES;
    const float *row[ROWS];
    UNROLL for (int r = 0; r < rows; r++) row[r] = a[r];
    for (long k = 0; k < inner; k++) {
        UNROLL for (int v = 0; v < columns; v++) {
            const int to = v == columns - 1 ? last : v;
            const vf w_v = NAME(load)(w + v * LANES);
            UNROLL for (int r = 0; r < rows; r++) acc[0][r][to] += row[r][k] * w_v;
            if (tiles == 2) {
                const vf w1_v = NAME(load)(w1 + v * LANES);
                UNROLL for (int r = 0; r < rows; r++) acc[1][r][to] += row[r][k] * w1_v;
            }
        }
        w += columns * LANES;
        w1 += columns * LANES;
    }
}

#include "_kernel_int8.h"

/* acc += a m for the columns from `at` on; of a matrix in int8, acc += scale * (a q).
   fixed: a as fixed-point numbers, from `row` on; NULL where they are not made. */
INLINE void NAME(add_product)(
    vf acc[2][ROWS][4], const Matrix *m, const long at, const int tiles, const int rows, const int columns,
    const int last, const float *const *a, const long inner, const Fixed *fixed, const long row)
{
    if (m->w) {
        NAME(accumulate)(acc, tiles, rows, columns, last, m->w + at * inner, a, inner);
        return;
    }
    float sum[2 * 4 * ROWS * LANES]; /* (tiles, columns, ROWS, LANES) */
    const float *scale = m->scale + 2 * at;
    NAME(int8_sums)(sum, m, at, tiles, rows, columns, a, inner, fixed, row);
    UNROLL for (int s = 0; s < tiles; s++)
        UNROLL for (int v = 0; v < columns; v++) {
            const int to = v == columns - 1 ? last : v, column = s * columns + v;
            const vf by = NAME(load)(scale + 2 * column * LANES);
            UNROLL for (int r = 0; r < rows; r++) acc[s][r][to] += by * NAME(load)(sum + (column * ROWS + r) * LANES);
        }
}

INLINE int NAME(valid)(const Job *j, long t, long row)
{
    return !j->mask || j->mask[row * j->mask_row + t * j->mask_step];
}

/* Puts the new h of LANES units of a row where it belongs, or the old one where the step is masked. */
INLINE void NAME(put)(const Job *j, long t, long row, long unit, vf h)
{
    const long at = row * j->width + unit;
    vf shown = h;
    if (!NAME(valid)(j, t, row)) {
        const vf zero = {0};
        h = NAME(load)(j->h[t & 1] + at);
        if (j->zero_masked) shown = zero;
        else if (t > j->first_valid[row]) shown = h;
        else shown = j->before ? NAME(load_some)(j->before + row * j->before_row + unit * 4, j->units - unit) : zero;
    }
    NAME(store)(j->h[(t + 1) & 1] + at, h);
    if (j->y) NAME(store_some)(j->y + row * j->y_row + t * j->y_step + unit * 4, shown, j->units - unit);
}

/* The rows of x and of h (or another array of j->width columns) that a tile reads. */
INLINE void NAME(rows_of_x)(const Job *j, long t, long row, const int rows, const float **a)
{
    UNROLL for (int r = 0; r < rows; r++) a[r] = (const float *)(j->x + (row + r) * j->x_row + t * j->x_step);
}

INLINE void NAME(rows_of)(const Job *j, const float *array, long row, const int rows, const float **a)
{
    UNROLL for (int r = 0; r < rows; r++) a[r] = array + (row + r) * j->width;
}

/* acc = x_t W + b of the first `columns` gates and b of the others; x_t W may have been made already. */
INLINE void NAME(begin)(
    const Job *j, long t, long row, long tile, const int tiles, const int rows, const int columns,
    vf acc[2][ROWS][4])
{
    const long at = tile * 4 * LANES;
    const float *a[ROWS];
    if (j->ahead) {
        UNROLL for (int r = 0; r < rows; r++) a[r] = ahead_of(j, t, row + r) + at;
    } else {
        UNROLL for (int r = 0; r < rows; r++) a[r] = j->b + at;
    }
    UNROLL for (int s = 0; s < tiles; s++)
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < 4; v++) acc[s][r][v] = NAME(load)(a[r] + (s * 4 + v) * LANES);
    if (j->ahead) return;
    NAME(rows_of_x)(j, t, row, rows, a);
    NAME(add_product)(acc, &j->W, tile * columns * LANES, tiles, rows, columns, columns - 1, a, j->features, NULL, 0);
}

/* x_t W + b of a row for `rows` steps from t on, of `columns` vectors, and b of more up to `kept`: of so many steps the
   weights are read once. */
INLINE void NAME(ahead)(const Job *j, long t, long row, long at, const int columns, const int kept, const int rows)
{
    vf acc[2][ROWS][4];
    const float *a[ROWS];
    const long first = at * 4 * LANES, w = at * (columns < kept ? columns : 4) * LANES;
    UNROLL for (int r = 0; r < rows; r++) a[r] = (const float *)(j->x + row * j->x_row + (t + r) * j->x_step);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < kept; v++) acc[0][r][v] = NAME(load)(j->b + first + v * LANES);
    NAME(add_product)(acc, &j->W, w, 1, rows, columns, columns - 1, a, j->features, NULL, 0);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < kept; v++) NAME(store)(ahead_of(j, t + r, row) + first + v * LANES, acc[0][r][v]);
}

/* i, f, c~, o:  c' = f * c + i * c~;  h' = o * tanh(c') */
INLINE void NAME(lstm)(const Job *j, long t, long row, long tile, const int tiles, const int rows)
{
    vf acc[2][ROWS][4];
    const float *a[ROWS];
    NAME(begin)(j, t, row, tile, tiles, rows, 4, acc);
    if (t > 0 || j->started) {
        NAME(rows_of)(j, j->h[t & 1], row, rows, a);
        NAME(add_product)(acc, &j->U, tile * 4 * LANES, tiles, rows, 4, 3, a, j->units, j->fixed, row);
    }
    UNROLL for (int s = 0; s < tiles; s++)
        UNROLL for (int r = 0; r < rows; r++) {
            const long unit = (tile + s) * LANES;
            float *c_at = j->c + (row + r) * j->width + unit;
            vf n, d, c;
            NAME(tanh_fraction)(acc[s][r][2], &n, &d);
            c = NAME(load)(c_at) / NAME(weight)(acc[s][r][1]) + n / (d * NAME(weight)(acc[s][r][0]));
            NAME(tanh_fraction)(c, &n, &d);
            if (NAME(valid)(j, t, row + r)) NAME(store)(c_at, c);
            NAME(put)(j, t, row + r, unit, n / (d * NAME(weight)(acc[s][r][3])));
        }
}

/* z, r, x_h, h_h:  h~ = tanh(x_h + r * h_h);  h' = z * h + (1 - z) * h~ */
INLINE void NAME(gru_after)(const Job *j, long t, long row, long tile, const int tiles, const int rows)
{
    vf acc[2][ROWS][4];
    const float *a[ROWS];
    NAME(begin)(j, t, row, tile, tiles, rows, 3, acc);
    if (t > 0 || j->started) {
        NAME(rows_of)(j, j->h[t & 1], row, rows, a);
        NAME(add_product)(acc, &j->U, tile * 3 * LANES, tiles, rows, 3, 3, a, j->units, j->fixed, row);
    }
    UNROLL for (int s = 0; s < tiles; s++)
        UNROLL for (int r = 0; r < rows; r++) {
            const long unit = (tile + s) * LANES;
            const vf h = NAME(load)(j->h[t & 1] + (row + r) * j->width + unit);
            const vf z = 1.0f / NAME(weight)(acc[s][r][0]);
            const vf h_tilde = NAME(tanh)(acc[s][r][2] + acc[s][r][3] / NAME(weight)(acc[s][r][1]));
            NAME(put)(j, t, row + r, unit, z * h + (1.0f - z) * h_tilde);
        }
}

/* The first half of a GRU that resets before: z, r * h, and x_h, into arrays of their own. */
INLINE void NAME(gru_before)(const Job *j, long t, long row, long tile, const int tiles, const int rows)
{
    vf acc[2][ROWS][4];
    const float *a[ROWS];
    NAME(begin)(j, t, row, tile, tiles, rows, 3, acc);
    if (t > 0 || j->started) {
        NAME(rows_of)(j, j->h[t & 1], row, rows, a);
        NAME(add_product)(acc, &j->U, tile * 2 * LANES, tiles, rows, 2, 1, a, j->units, j->fixed, row);
    }
    UNROLL for (int s = 0; s < tiles; s++)
        UNROLL for (int r = 0; r < rows; r++) {
            const long at = (row + r) * j->width + (tile + s) * LANES;
            NAME(store)(j->z + at, 1.0f / NAME(weight)(acc[s][r][0]));
            NAME(store)(j->rh + at, NAME(load)(j->h[t & 1] + at) / NAME(weight)(acc[s][r][1]));
            NAME(store)(j->xh + at, acc[s][r][2]);
        }
}

/* `columns` vectors of units at once, from the tile 4 * quad on, of what has one gate alone: a SimpleRNN,
   h' = tanh(x W + b + h U), or the second half of a GRU that resets before, h~ = tanh(x_h + (r * h) U_h). */
INLINE void NAME(one_gate)(const Job *j, long t, long row, long quad, const int columns, const int rows)
{
    vf acc[2][ROWS][4];
    const float *a[ROWS];
    const int simple = j->kind == SIMPLE_RNN;
    const long first = quad * 4 * LANES;
    UNROLL for (int r = 0; r < rows; r++) {
        const float *from = !simple ? j->xh + (row + r) * j->width : j->ahead ? ahead_of(j, t, row + r) : j->b;
        UNROLL for (int v = 0; v < columns; v++) acc[0][r][v] = NAME(load)(from + first + v * LANES);
    }
    if (simple && !j->ahead) {
        NAME(rows_of_x)(j, t, row, rows, a);
        NAME(add_product)(acc, &j->W, first, 1, rows, columns, columns - 1, a, j->features, NULL, 0);
    }
    if (t > 0 || j->started) {
        NAME(rows_of)(j, simple ? j->h[t & 1] : j->rh, row, rows, a);
        const Matrix *m = simple ? &j->U : &j->U_h;
        NAME(add_product)(acc, m, first, 1, rows, columns, columns - 1, a, j->units, j->fixed, row);
    }
    float made[ROWS][4][LANES]; /* left in registers, the accumulators would be up to 24 copies of what follows */
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < columns; v++) NAME(store)(made[r][v], acc[0][r][v]);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < columns; v++) {
            const long unit = first + v * LANES, at = (row + r) * j->width + unit;
            vf h = NAME(tanh)(NAME(load)(made[r][v]));
            if (!simple) {
                const vf z = NAME(load)(j->z + at);
                h = z * NAME(load)(j->h[t & 1] + at) + (1.0f - z) * h;
            }
            NAME(put)(j, t, row + r, unit, h);
        }
}

/* Carries the states of rows that are all masked over `columns` vectors. */
INLINE void NAME(carry)(const Job *j, long t, long row, const int rows, long unit, int columns)
{
    const vf unused = {0};
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < columns; v++) NAME(put)(j, t, row + r, unit + v * LANES, unused);
}

/* Calls f(…, second, rows) with constants for the last two, so that every loop over them is unrolled. */
#if ROWS == 6
#define WITH_ROWS(f, second) \
    switch (rows) { \
    case 1: f(j, t, row, at, second, 1); break; \
    case 2: f(j, t, row, at, second, 2); break; \
    case 3: f(j, t, row, at, second, 3); break; \
    case 4: f(j, t, row, at, second, 4); break; \
    case 5: f(j, t, row, at, second, 5); break; \
    default: f(j, t, row, at, second, 6); break; \
    }
#elif ROWS == 3
#define WITH_ROWS(f, second) \
    switch (rows) { \
    case 1: f(j, t, row, at, second, 1); break; \
    case 2: f(j, t, row, at, second, 2); break; \
    default: f(j, t, row, at, second, 3); break; \
    }
#else
#define WITH_ROWS(f, second) \
    switch (rows) { \
    case 1: f(j, t, row, at, second, 1); break; \
    default: f(j, t, row, at, second, 2); break; \
    }
#endif

/* One tile, or two of a single row, whose four accumulators alone would wait for each other. */
#define TILES(cell) \
    static void NAME(cell##_tiles)(const Job *j, long t, long row, int rows, long at, int tiles) \
    { \
        if (tiles == 2) NAME(cell)(j, t, row, at, 2, 1); \
        else WITH_ROWS(NAME(cell), 1) \
    }
TILES(lstm)
TILES(gru_after)
TILES(gru_before)

static void NAME(one_gate_tiles)(const Job *j, long t, long row, int rows, long at, int columns)
{
    switch (columns) {
    case 1: WITH_ROWS(NAME(one_gate), 1) break;
    case 2: WITH_ROWS(NAME(one_gate), 2) break;
    case 3: WITH_ROWS(NAME(one_gate), 3) break;
    default: WITH_ROWS(NAME(one_gate), 4) break;
    }
}

/* ROWS steps together, or a single one. */
#define STEPS(columns, kept) \
    if (steps == ROWS) NAME(ahead)(j, t, row, at, columns, kept, ROWS); \
    else NAME(ahead)(j, t, row, at, columns, kept, 1);
static void NAME(ahead_tiles)(const Job *j, long t, long row, int steps, long at, int columns)
{
    switch (columns) {
    case 1: STEPS(1, 1) break;
    case 2: STEPS(2, 2) break;
    case 3:
        if (j->kind == SIMPLE_RNN) STEPS(3, 3)
        else STEPS(3, 4)
        break;
    default: STEPS(4, 4) break;
    }
}

/* What x adds to the tiles first..end at the steps from t on. */
static void NAME(look_ahead)(const Job *j, long t, long start, long stop, long first, long end)
{
    const int one_gate = j->kind == SIMPLE_RNN;
    const long most = j->steps - t < j->ahead_steps ? j->steps - t : j->ahead_steps;
    for (long tile = first; tile < end; tile += one_gate ? 4 : 1)
        for (long row = start; row < stop; row++)
            for (long done = 0; done < most;) {
                const int steps = most - done < ROWS ? 1 : ROWS;
                const long columns = !one_gate ? COLUMNS_W[j->kind] : end - tile < 4 ? end - tile : 4;
                NAME(ahead_tiles)(j, t + done, row, steps, one_gate ? tile / 4 : tile, (int)columns);
                done += steps;
            }
}

/* The rows start..stop of the tiles first..end at the step t; of a GRU that resets before, one half of it. */
static void NAME(step)(const Job *j, long t, int half, long start, long stop, long first, long end)
{
    const int one_gate = j->kind == SIMPLE_RNN || half == 1;
    if (j->ahead && half == 0 && t % j->ahead_steps == 0) NAME(look_ahead)(j, t, start, stop, first, end);
#if LANES == 16
    if (j->fixed && (t > 0 || j->started) && j->fixed->at != 2 * t + half) {
        to_fixed(half ? j->rh : j->h[t & 1], start, stop, j->width, j->fixed);
        j->fixed->at = 2 * t + half;
    }
#endif
    const long count = (stop - start + ROWS - 1) / ROWS;
    for (long tile = first; tile < end;) {
        const long left = end - tile;
        const int taken = one_gate ? (left < 4 ? (int)left : 4) : stop - start == 1 && left > 1 ? 2 : 1;
        for (long part = 0; part < count; part++) { /* as even as can be: 7 rows of 6 are 4 and 3 */
            const long row = start + (stop - start) * part / count;
            const int rows = (int)(start + (stop - start) * (part + 1) / count - row);
            int valid = 0;
            for (int r = 0; r < rows; r++) valid |= NAME(valid)(j, t, row + r);
            if (!valid) {
                if (j->kind != GRU_BEFORE || half == 1) NAME(carry)(j, t, row, rows, tile * LANES, taken);
            } else if (one_gate) NAME(one_gate_tiles)(j, t, row, rows, tile / 4, taken);
            else if (j->kind == LSTM) NAME(lstm_tiles)(j, t, row, rows, tile, taken);
            else if (j->kind == GRU_AFTER) NAME(gru_after_tiles)(j, t, row, rows, tile, taken);
            else NAME(gru_before_tiles)(j, t, row, rows, tile, taken);
        }
        tile += taken;
    }
}

#undef TILES
#undef STEPS
#undef WITH_ROWS
#undef vf
#undef vi
#undef vu
