/* ADD in family D: both operands are brought to one scale with 20 more bits, then summed. */

typedef struct {
    int32_t left_zero, right_zero, zero;
    edge_scale_t left, right, sum;
} edge_add_fixed_t;

#if EDGE_NEON
static inline int32x4_t edge_add_fixed_four(const edge_add_fixed_t *c, int16x4_t a, int16x4_t b)
{
    const int32x4_t from_a = vshlq_n_s32(vsubl_s16(a, vdup_n_s16((int16_t)c->left_zero)), 20);
    const int32x4_t from_b = vshlq_n_s32(vsubl_s16(b, vdup_n_s16((int16_t)c->right_zero)), 20);
    const int32x4_t left = edge_multiply_four(from_a, edge_same_scales(c->left));
    const int32x4_t right = edge_multiply_four(from_b, edge_same_scales(c->right));
    return edge_scale_four(vaddq_s32(left, right), edge_same_scales(c->sum), c->zero);
}
#endif

static EDGE_NOINLINE void edge_add_fixed(const edge_add_fixed_t *c, const int8_t *a, const int8_t *b, int8_t *y,
                                         int32_t count)
{
#if EDGE_NEON
    const edge_add_fixed_t local = *c;
    for (; count >= 16; count -= 16) {
        EDGE_BY_FOURS(edge_add_fixed_four, &local, a, b, y);
        a += 16;
        b += 16;
        y += 16;
    }
#endif
    for (; count > 0; count--) {
        const int32_t left = edge_multiply((*a++ - c->left_zero) * 1048576, c->left);
        const int32_t right = edge_multiply((*b++ - c->right_zero) * 1048576, c->right);
        *y++ = edge_requantise(left + right, c->sum, c->zero);
    }
}
