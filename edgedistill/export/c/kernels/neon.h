/* NEON, on 64-bit Arm: int8 products summed with the dot-product instructions or without, sixteen values at a time. */

#if EDGE_NEON
typedef struct {
    int32x4_t a, b, c, d;
} edge_sixteen_t;

/* acc[i] + the products of bytes 4i to 4i + 3. Weights are never -128, so that two products fit in int16. */
static inline int32x4_t edge_dot_fours(int32x4_t acc, int8x16_t x, int8x16_t w)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(acc, x, w);
#else
    return vpadalq_s16(acc, vpaddq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w)));
#endif
}

/* Sixteen products added to the lanes of acc, whichever to whichever. */
static inline int32x4_t edge_dot_sixteen(int32x4_t acc, int8x16_t x, int8x16_t w)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(acc, x, w);
#else
    return vpadalq_s16(acc, vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(w)), x, w));
#endif
}

/* Four bytes, four times. */
static inline int8x16_t edge_repeated(const int8_t *p)
{
    return vreinterpretq_s8_u32(vdupq_n_u32(edge_load(p)));
}

static inline int8x16_t edge_narrow(const edge_sixteen_t *v)
{
    const int16x8_t low = vqmovn_high_s32(vqmovn_s32(v->a), v->b);
    const int16x8_t high = vqmovn_high_s32(vqmovn_s32(v->c), v->d);
    return vqmovn_high_s16(vqmovn_s16(low), high);
}

static inline void edge_store(int8_t *y, uint32_t v)
{
    __builtin_memcpy(y, &v, 4);
}

/* Saturates a vector for each of four places, and stores its first count values there, at the first place last. */
static inline void edge_store_fours(int8_t *const *y, const edge_sixteen_t *v, int32_t count)
{
    const int8x16_t bytes = edge_narrow(v);
    const uint32x4_t words = vreinterpretq_u32_s8(bytes);
    if (count >= 4) {
        edge_store(y[3], vgetq_lane_u32(words, 3));
        edge_store(y[2], vgetq_lane_u32(words, 2));
        edge_store(y[1], vgetq_lane_u32(words, 1));
        edge_store(y[0], vgetq_lane_u32(words, 0));
    } else {
        int8_t kept[16];
        int32_t i;
        vst1q_s8(kept, bytes);
        for (i = 4 * 4 - 1; i >= 0; i--) {
            if ((i & 3) < count) {
                y[i / 4][i & 3] = kept[i];
            }
        }
    }
}

/* Sixteen values at y from sixteen at x and at z: four(by, x, z) makes four int32 from four int16 each. */
#define EDGE_BY_FOURS(four, by, x, z, y)                                             \
    do {                                                                             \
        const int8x16_t x_ = vld1q_s8(x), z_ = vld1q_s8(z);                          \
        const int16x8_t x0_ = vmovl_s8(vget_low_s8(x_)), x1_ = vmovl_high_s8(x_);    \
        const int16x8_t z0_ = vmovl_s8(vget_low_s8(z_)), z1_ = vmovl_high_s8(z_);    \
        edge_sixteen_t v_;                                                           \
        v_.a = four(by, vget_low_s16(x0_), vget_low_s16(z0_));                       \
        v_.b = four(by, vget_high_s16(x0_), vget_high_s16(z0_));                     \
        v_.c = four(by, vget_low_s16(x1_), vget_low_s16(z1_));                       \
        v_.d = four(by, vget_high_s16(x1_), vget_high_s16(z1_));                     \
        vst1q_s8(y, edge_narrow(&v_));                                               \
    } while (0)
#endif
