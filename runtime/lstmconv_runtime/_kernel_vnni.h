/* Products of states with matrices in int8 by AVX-512 VNNI, which multiplies unsigned bytes by signed ones, 64 at once.

   A state is taken as whole numbers of 32 bits, in units of 2^-31 of a power of two above the largest of its row: finer
   than float32 for all that is not much smaller than that. Each of their four bytes goes through the matrix by itself;
   the sums are whole numbers, and exact. */

/* The rows start..stop of an array (rows, width). */
static void to_fixed(const float *array, long start, long stop, long width, Fixed *fixed)
{
    for (long row = start; row < stop; row++) {
        const float *h = array + row * width;
        __m512 most = _mm512_setzero_ps();
        __mmask16 odd = 0;
        for (long k = 0; k < width; k += 16) {
            const __m512 size = _mm512_abs_ps(_mm512_loadu_ps(h + k));
            odd |= _mm512_cmp_ps_mask(size, _mm512_set1_ps(FLT_MAX), _CMP_NLE_UQ);
            most = _mm512_max_ps(most, size);
        }
        if (odd) {
            fixed->unit[row] = NAN;
            continue;
        }
        int exponent;
        frexpf(_mm512_reduce_max_ps(most), &exponent);
        if (exponent < -90) exponent = -90; /* so that both powers are normal numbers */
        fixed->unit[row] = ldexpf(1.0f, exponent - 31);
        const __m512 inverse = _mm512_set1_ps(ldexpf(1.0f, 31 - exponent));
        uint8_t *to = fixed->bytes + row * 4 * width;
        for (long k = 0; k < width; k += 16) {
            __m512i n = _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_loadu_ps(h + k), inverse));
            n = _mm512_xor_si512(n, _mm512_set1_epi32(INT32_MIN));
            _mm_storeu_si128((__m128i *)(to + k), _mm512_cvtepi32_epi8(n));
            _mm_storeu_si128((__m128i *)(to + width + k), _mm512_cvtepi32_epi8(_mm512_srli_epi32(n, 8)));
            _mm_storeu_si128((__m128i *)(to + 2 * width + k), _mm512_cvtepi32_epi8(_mm512_srli_epi32(n, 16)));
            _mm_storeu_si128((__m128i *)(to + 3 * width + k), _mm512_cvtepi32_epi8(_mm512_srli_epi32(n, 24)));
        }
    }
}

/* sum (columns, ., 16) of a row: total = unit * Σ n_k q_k, where Σ (n_k + 2^31) q_k is what the bytes give. */
INLINE void vnni_columns(float *sum, long apart, const int columns, const int8_t *q, const float *scales,
                         const uint8_t *bytes, long width, long inner, float unit)
{
    __m512i part[4][4];
    UNROLL for (int v = 0; v < columns; v++)
        UNROLL for (int i = 0; i < 4; i++) part[v][i] = _mm512_setzero_si512();
    for (long k = 0; k < inner; k += 4, q += columns * 64) {
        __m512i n[4];
        UNROLL for (int i = 0; i < 4; i++) {
            int32_t four;
            memcpy(&four, bytes + i * width + k, 4);
            n[i] = _mm512_set1_epi32(four);
        }
        UNROLL for (int v = 0; v < columns; v++) {
            const __m512i w = _mm512_loadu_si512(q + v * 64);
            UNROLL for (int i = 0; i < 4; i++) part[v][i] = _mm512_dpbusd_epi32(part[v][i], n[i], w);
        }
    }
    UNROLL for (int v = 0; v < columns; v++) {
        const __m512i column = _mm512_cvtps_epi32(_mm512_loadu_ps(scales + (2 * v + 1) * 16)); /* Σ q_k */
        const __m512i high = _mm512_sub_epi32(part[v][3], _mm512_slli_epi32(column, 7));
        __m512 total = _mm512_mul_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(0x1p24f));
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(part[v][2]), _mm512_set1_ps(0x1p16f), total);
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(part[v][1]), _mm512_set1_ps(0x1p8f), total);
        total = _mm512_add_ps(_mm512_cvtepi32_ps(part[v][0]), total);
        _mm512_storeu_ps(sum + v * apart, _mm512_mul_ps(total, _mm512_set1_ps(unit)));
    }
}

static void vnni_product(float *sum, long apart, int columns, const int8_t *q, const float *scales,
                         const Fixed *fixed, long row, long width, long inner)
{
    const uint8_t *bytes = fixed->bytes + row * 4 * width;
    const float unit = fixed->unit[row];
    switch (columns) {
    case 1: vnni_columns(sum, apart, 1, q, scales, bytes, width, inner, unit); break;
    case 2: vnni_columns(sum, apart, 2, q, scales, bytes, width, inner, unit); break;
    case 3: vnni_columns(sum, apart, 3, q, scales, bytes, width, inner, unit); break;
    default: vnni_columns(sum, apart, 4, q, scales, bytes, width, inner, unit); break;
    }
}
