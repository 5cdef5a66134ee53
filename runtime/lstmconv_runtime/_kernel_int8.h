/* Products with matrices in int8. Four numbers of the inner dimension share a lane of 32 bits: (tile, inner / 4,
   columns, lanes, 4), with zeros beyond the inner dimension. Included once for each instruction set. */

/* sum (tiles, columns, rows, LANES) = a q for `rows` rows a; `rows` is a constant where this is inlined. */
INLINE void NAME(int8_rows)(
    float *sum, const int rows, const int8_t *q, const long columns, const float *const *a, const long inner)
{
    const long step = columns * LANES * 4;
    for (long v = 0; v < columns; v++) {
        /* Four sums for each row, or a single row would wait for its last addition at each. */
        vf part[ROWS][4];
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int i = 0; i < 4; i++) part[r][i] = (vf){0};
        const int8_t *at = q + v * LANES * 4;
        long k = 0;
        for (; k + 4 <= inner; k += 4, at += step) {
            const vi four = (vi)NAME(load)((const float *)at);
            UNROLL for (int i = 0; i < 4; i++) {
                const vf w = __builtin_convertvector((four << (24 - 8 * i)) >> 24, vf);
                UNROLL for (int r = 0; r < rows; r++) part[r][i] += a[r][k + i] * w;
            }
        }
        for (int i = 0; k + i < inner; i++) {
            const vf w = __builtin_convertvector(((vi)NAME(load)((const float *)at) << (24 - 8 * i)) >> 24, vf);
            UNROLL for (int r = 0; r < rows; r++) part[r][i] += a[r][k + i] * w;
        }
        UNROLL for (int r = 0; r < rows; r++)
            NAME(store)(sum + (v * ROWS + r) * LANES, (part[r][0] + part[r][1]) + (part[r][2] + part[r][3]));
    }
}

/* The same for `rows` of 1 to ROWS and `tiles` panels one after the other. */
static void NAME(int8_product)(
    float *sum, int rows, long tiles, const int8_t *q, long columns, const float *const *a, long inner)
{
    for (long s = 0; s < tiles; s++) {
        float *to = sum + s * columns * ROWS * LANES;
        const int8_t *from = q + s * columns * LANES * ((inner + 3) / 4 * 4);
        switch (rows) {
        case 1: NAME(int8_rows)(to, 1, from, columns, a, inner); break;
        case 2: NAME(int8_rows)(to, 2, from, columns, a, inner); break;
#if ROWS > 2
        case 3: NAME(int8_rows)(to, 3, from, columns, a, inner); break;
#endif
#if ROWS > 3
        case 4: NAME(int8_rows)(to, 4, from, columns, a, inner); break;
        case 5: NAME(int8_rows)(to, 5, from, columns, a, inner); break;
        case 6: NAME(int8_rows)(to, 6, from, columns, a, inner); break;
#endif
        }
    }
}

/* sum (tiles, columns, ROWS, LANES) = a q for the columns of m from `at` on. */
static void NAME(int8_sums)(
    float *sum, const Matrix *m, long at, long tiles, int rows, long columns, const float *const *a, long inner,
    const Fixed *fixed, long row)
{
    const long fours = (inner + 3) / 4 * 4;
    const int8_t *q = m->q + at * fours;
#if LANES == 16
    if (fixed) {
        for (int r = 0; r < rows; r++)
            for (long s = 0; s < tiles; s++) {
                const long first = s * columns;
                const int8_t *of_tile = q + first * LANES * fours;
                if (isnan(fixed->unit[row + r])) {
                    float one[4 * ROWS * LANES];
                    NAME(int8_product)(one, 1, 1, of_tile, columns, a + r, inner);
                    for (long v = 0; v < columns; v++)
                        NAME(store)(sum + ((first + v) * ROWS + r) * LANES, NAME(load)(one + v * ROWS * LANES));
                } else {
                    vnni_product(sum + (first * ROWS + r) * LANES, ROWS * LANES, (int)columns, of_tile,
                                 m->scale + 2 * (at + first * LANES), fixed, row + r, fixed->width, inner);
                }
            }
        return;
    }
#else
    (void)fixed, (void)row;
#endif
    NAME(int8_product)(sum, rows, tiles, q, columns, a, inner);
}
