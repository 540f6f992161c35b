/* ADD of any scales: two float32 products, their float32 sum, rounded half to even. */

typedef struct {
    int32_t left_zero, right_zero, zero;
    edge_scale_t left, right;
} edge_add_float_t;

#if EDGE_HELIUM || EDGE_NEON
/* Hides products from the compiler, as edge_opaque does. */
static inline float32x4_t edge_opaque_four(float32x4_t v)
{
    __asm__("" : "+w"(v));
    return v;
}
#endif

#if EDGE_HELIUM
static EDGE_NOINLINE void edge_add_float(const edge_add_float_t *c, const int8_t *a, const int8_t *b, int8_t *y,
                                         int32_t count)
{
    const edge_add_float_t local = *c;
    for (; count > 0; count -= 4) {
        const mve_pred16_t which = vctp32q((uint32_t)count);
        const int32x4_t from_a = vsubq_n_s32(vldrbq_z_s32(a, which), local.left_zero);
        const int32x4_t from_b = vsubq_n_s32(vldrbq_z_s32(b, which), local.right_zero);
        const float32x4_t left = edge_opaque_four(vmulq_n_f32(vcvtq_f32_s32(from_a), local.left));
        const float32x4_t right = edge_opaque_four(vmulq_n_f32(vcvtq_f32_s32(from_b), local.right));
        edge_store_four(y, vqaddq_n_s32(vcvtnq_s32_f32(vaddq_f32(left, right)), local.zero), which);
        a += 4;
        b += 4;
        y += 4;
    }
}
#else
#if EDGE_FLOAT
static inline int8_t edge_add_float_one(const edge_add_float_t *c, int32_t a, int32_t b)
{
    const float left = edge_opaque((float)a * c->left);
    const float right = edge_opaque((float)b * c->right);
    return edge_place(edge_round(edge_opaque(left + right)), c->zero);
}

#if EDGE_NEON
static inline int32x4_t edge_add_float_four(const edge_add_float_t *c, int16x4_t a, int16x4_t b)
{
    const int32x4_t from_a = vsubq_s32(vmovl_s16(a), vdupq_n_s32(c->left_zero));
    const int32x4_t from_b = vsubq_s32(vmovl_s16(b), vdupq_n_s32(c->right_zero));
    const float32x4_t left = edge_opaque_four(vmulq_n_f32(vcvtq_f32_s32(from_a), c->left));
    const float32x4_t right = edge_opaque_four(vmulq_n_f32(vcvtq_f32_s32(from_b), c->right));
    return vqaddq_s32(vcvtnq_s32_f32(vaddq_f32(left, right)), vdupq_n_s32(c->zero));
}
#endif
#else
/* float32(a * scale) in units of 2**exponent: an integer below 2**25 in size, and its own unit */
static inline int64_t edge_product(int32_t a, edge_scale_t scale, int32_t *exponent)
{
    uint64_t p = (uint64_t)(uint32_t)(a < 0 ? -a : a) * ((scale & 0x7FFFFFu) | 0x800000u);
    const uint32_t excess = edge_excess(p);
    if (excess != 0u) {
        p = edge_shift(p, excess);
    }
    *exponent = (int32_t)(scale >> 23) - 150 + (int32_t)excess;
    return a < 0 ? -(int64_t)p : (int64_t)p;
}

static EDGE_NOINLINE int8_t edge_add_float_one(const edge_add_float_t *c, int32_t a, int32_t b)
{
    int32_t unit_a, unit_b, unit, r;
    const int64_t left = edge_product(a, c->left, &unit_a);
    const int64_t right = edge_product(b, c->right, &unit_b);
    int64_t sum;
    unit = edge_least(unit_a, unit_b);
    sum = left * ((int64_t)1 << (unit_a - unit)) + right * ((int64_t)1 << (unit_b - unit));
    r = edge_round_twice((uint64_t)(sum < 0 ? -sum : sum), unit);
    return edge_clamp((sum < 0 ? -r : r) + c->zero);
}
#endif

static EDGE_NOINLINE void edge_add_float(const edge_add_float_t *c, const int8_t *a, const int8_t *b, int8_t *y,
                                         int32_t count)
{
#if EDGE_NEON
    const edge_add_float_t local = *c;
    for (; count >= 16; count -= 16) {
        EDGE_BY_FOURS(edge_add_float_four, &local, a, b, y);
        a += 16;
        b += 16;
        y += 16;
    }
#endif
    for (; count > 0; count--) {
        *y++ = edge_add_float_one(c, *a++ - c->left_zero, *b++ - c->right_zero);
    }
}
#endif
