/* MUL of any scales: the product of two integers, requantised as a convolution's sum is. */

typedef struct {
    int32_t a_zero, b_zero, zero;
    edge_scale_t scale;
    int32_t count, period; /* values of a and y; values of b, which repeat */
} edge_mul_float_t;

#if EDGE_NEON
static inline int32x4_t edge_mul_float_four(const edge_mul_float_t *c, int16x4_t a, int16x4_t b)
{
    const int16x4_t from_a = vsub_s16(a, vdup_n_s16((int16_t)c->a_zero));
    const int16x4_t from_b = vsub_s16(b, vdup_n_s16((int16_t)c->b_zero));
    return edge_scale_four(vmull_s16(from_a, from_b), edge_same_scales(c->scale), c->zero);
}
#endif

static void edge_mul_float(const edge_mul_float_t *c, const int8_t *a, const int8_t *b, int8_t *y)
{
    int32_t i, j;
#if EDGE_NEON
    const edge_mul_float_t local = *c;
#endif
    for (i = 0; i < c->count; i += c->period) {
        j = 0;
#if EDGE_NEON
        for (; j + 16 <= local.period; j += 16) {
            EDGE_BY_FOURS(edge_mul_float_four, &local, a + i + j, b + j, y + i + j);
        }
#endif
        for (; j < c->period; j++) {
            const int32_t product = (a[i + j] - c->a_zero) * (b[j] - c->b_zero);
            y[i + j] = edge_requantise(product, c->scale, c->zero);
        }
    }
}
