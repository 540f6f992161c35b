/* ADD under the odd-denominator rule: a division by a small constant, exact in integers. */

/* y = clamp(floor((a * left + b * right + offset) / divisor) + zero): factor is 2**32 / divisor, rounded up,
   and offset makes the sum positive. */
typedef struct {
    int32_t left, right, offset, factor, zero;
} edge_add_t;

static inline int8_t edge_add_one(const edge_add_t *c, int32_t sum)
{
    return edge_clamp(edge_high(sum, c->factor) + c->zero);
}

#if EDGE_NEON
static inline int32x4_t edge_add_four(const edge_add_t *c, int16x4_t a, int16x4_t b)
{
    const int32x4_t left = vmlal_n_s16(vdupq_n_s32(c->offset), a, (int16_t)c->left);
    return edge_high_four(vmlal_n_s16(left, b, (int16_t)c->right), c->factor, c->zero);
}
#endif

static EDGE_NOINLINE void edge_add(const edge_add_t *c, const int8_t *a, const int8_t *b, int8_t *y,
                                   int32_t count)
{
    const edge_add_t local = *c;
#if EDGE_HELIUM
    const int32x4_t factors = vdupq_n_s32(local.factor);
    for (; count > 0; count -= 4) {
        const mve_pred16_t which = vctp32q((uint32_t)count);
        const int32x4_t left = vmulq_n_s32(vldrbq_z_s32(a, which), local.left);
        const int32x4_t sum = vmlaq_n_s32(left, vldrbq_z_s32(b, which), local.right);
        const int32x4_t whole = vmulhq_s32(vaddq_n_s32(sum, local.offset), factors);
        edge_store_four(y, vaddq_n_s32(whole, local.zero), which);
        a += 4;
        b += 4;
        y += 4;
    }
#else
#if EDGE_DSP
    const uint32_t factors = edge_pack(local.left, local.right);
    for (; count >= 4; count -= 4) {
        const uint32_t a4 = edge_load(a), b4 = edge_load(b);
        const uint32_t a02 = edge_even(a4), a13 = edge_odd(a4), b02 = edge_even(b4), b13 = edge_odd(b4);
        y[0] = edge_add_one(&local, edge_smlad(edge_lower(a02, b02), factors, local.offset));
        y[1] = edge_add_one(&local, edge_smlad(edge_lower(a13, b13), factors, local.offset));
        y[2] = edge_add_one(&local, edge_smlad(edge_upper(a02, b02), factors, local.offset));
        y[3] = edge_add_one(&local, edge_smlad(edge_upper(a13, b13), factors, local.offset));
        a += 4;
        b += 4;
        y += 4;
    }
#elif EDGE_NEON
    for (; count >= 16; count -= 16) {
        EDGE_BY_FOURS(edge_add_four, &local, a, b, y);
        a += 16;
        b += 16;
        y += 16;
    }
#endif
    for (; count > 0; count--) {
        *y++ = edge_add_one(&local, *a++ * local.left + *b++ * local.right + local.offset);
    }
#endif
}
