/* MUL under the odd-denominator rule, of equal shapes or by a gate of one value per channel. */

/* y = clamp(floor((product * numerator + offset) / divisor) + zero), as in ADD; products outside
   [low, high] saturate the output anyway. */
typedef struct {
    int32_t a_zero, b_zero, low, high, numerator, offset, factor, zero;
    int32_t count, period; /* values of a and y; values of b, which repeat */
} edge_mul_t;

#if EDGE_NEON
static inline int32x4_t edge_mul_four(const edge_mul_t *c, int16x4_t a, int16x4_t b)
{
    const int16x4_t from_a = vsub_s16(a, vdup_n_s16((int16_t)c->a_zero));
    const int16x4_t from_b = vsub_s16(b, vdup_n_s16((int16_t)c->b_zero));
    const int32x4_t below = vminq_s32(vmull_s16(from_a, from_b), vdupq_n_s32(c->high));
    const int32x4_t near = vmaxq_s32(below, vdupq_n_s32(c->low));
    return edge_high_four(vmlaq_n_s32(vdupq_n_s32(c->offset), near, c->numerator), c->factor, c->zero);
}
#endif

static void edge_mul(const edge_mul_t *c, const int8_t *a, const int8_t *b, int8_t *y)
{
    int32_t i, j;
#if EDGE_NEON
    const edge_mul_t local = *c;
#endif
    for (i = 0; i < c->count; i += c->period) {
        j = 0;
#if EDGE_NEON
        for (; j + 16 <= local.period; j += 16) {
            EDGE_BY_FOURS(edge_mul_four, &local, a + i + j, b + j, y + i + j);
        }
#endif
        for (; j < c->period; j++) {
            const int32_t product = (a[i + j] - c->a_zero) * (b[j] - c->b_zero);
            const int32_t near = edge_least(edge_most(product, c->low), c->high);
            y[i + j] = edge_clamp(edge_high(near * c->numerator + c->offset, c->factor) + c->zero);
        }
    }
}
