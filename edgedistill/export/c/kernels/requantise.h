/* int32 sums to int8: one float32 multiplication, rounded half to even, with or without a float unit. */

#if EDGE_FLOAT
typedef float edge_scale_t;
#define EDGE_SCALE(bits, value) (value)
#else
typedef uint32_t edge_scale_t; /* the bits of the float32 */
#define EDGE_SCALE(bits, value) (bits)
#endif

/* An output channel: the bias with the input's zero point folded in, and the multiplier. */
typedef struct {
    int32_t bias;
    edge_scale_t scale;
} edge_channel_t;

#if EDGE_FLOAT
/* Hides a product from the compiler, which may otherwise fuse it with a sum and so round once. */
static inline float edge_opaque(float v)
{
#if defined(__GNUC__) && defined(__ARM_FP) && !defined(__aarch64__)
    __asm__("" : "+t"(v));
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__("" : "+w"(v));
#elif defined(__GNUC__) && defined(__SSE2__)
    __asm__("" : "+x"(v));
#elif defined(__GNUC__) && defined(__riscv_flen)
    __asm__("" : "+f"(v));
#else
    volatile float kept = v;
    v = kept;
#endif
    return v;
}

/* The nearest integer, half to even, of a value that edge_opaque has seen; far values saturate. */
static inline int32_t edge_round(float v)
{
#if defined(__GNUC__) && defined(__ARM_FP) && !defined(__aarch64__)
    int32_t r;
    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(r) : "t"(v));
    return r;
#else
    union {
        float real;
        int32_t bits;
    } sum;
    v = v < -4096.0f ? -4096.0f : v > 4096.0f ? 4096.0f : v;
    sum.real = v + 12582912.0f; /* 1.5 * 2**23: the sum's last bit is worth one */
    return sum.bits - 0x4B400000;
#endif
}

/* An integer and a zero point to int8. */
static inline int8_t edge_place(int32_t v, int32_t zero)
{
#if defined(EDGE_ASSEMBLY)
    int32_t r;
    __asm__("qadd %0, %1, %2\n\tssat %0, #8, %0" : "=r"(r) : "r"(v), "r"(zero));
    return (int8_t)r;
#else
    return edge_clamp((v < -4096 ? -4096 : v > 4096 ? 4096 : v) + zero);
#endif
}

static inline int8_t edge_requantise(int32_t acc, edge_scale_t scale, int32_t zero)
{
    return edge_place(edge_round(edge_opaque((float)acc * scale)), zero);
}

#if EDGE_NEON
typedef float32x4_t edge_scales_t;

static inline edge_scales_t edge_same_scales(edge_scale_t scale)
{
    return vdupq_n_f32(scale);
}

static inline edge_scales_t edge_four_scales(const edge_scale_t *scale)
{
    return vld1q_f32(scale);
}

/* Four biases and multipliers. */
static inline int32x4_t edge_four_channels(const edge_channel_t *channel, edge_scales_t *scale)
{
    const int32x4x2_t both = vld2q_s32(&channel->bias);
    *scale = vreinterpretq_f32_s32(both.val[1]);
    return both.val[0];
}

/* Four sums and their multipliers, rounded half to even, the zero point added; far values saturate. */
static inline int32x4_t edge_scale_four(int32x4_t acc, edge_scales_t scale, int32_t zero)
{
    return vqaddq_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), scale)), vdupq_n_s32(zero));
}
#endif
#else
/* p / 2**shift, half to even; shift 1 to 40 */
static inline uint64_t edge_shift(uint64_t p, uint32_t shift)
{
    return (p + (((uint64_t)1 << (shift - 1u)) - 1u) + ((p >> shift) & 1u)) >> shift;
}

/* How many bits p, below 2**55, has beyond the 24 of a float32's mantissa. */
static inline uint32_t edge_excess(uint64_t p)
{
    uint32_t n = 0u;
    uint32_t step;
    for (step = 16u; step != 0u; step >>= 1) {
        if ((p >> (n + step + 23u)) != 0u) {
            n += step;
        }
    }
    return n;
}

/* round(float32(p * 2**exponent)), both half to even; 4096 for all from there on */
static EDGE_NOINLINE int32_t edge_round_twice(uint64_t p, int32_t exponent)
{
    const uint32_t excess = edge_excess(p);
    if (excess != 0u) {
        p = edge_shift(p, excess);
        exponent += (int32_t)excess;
    }
    if (exponent < -40 || p == 0u) {
        return 0;
    }
    if (exponent >= 0) {
        return exponent > 12 || p > (4096u >> exponent) ? 4096 : (int32_t)(p << exponent);
    }
    p = edge_shift(p, (uint32_t)-exponent);
    return p > 4096u ? 4096 : (int32_t)p;
}

static EDGE_NOINLINE int8_t edge_requantise(int32_t acc, edge_scale_t scale, int32_t zero)
{
    const uint32_t mantissa = (scale & 0x7FFFFFu) | 0x800000u;
    const uint32_t a = acc < 0 ? 0u - (uint32_t)acc : (uint32_t)acc;
    const int32_t exponent = (int32_t)(scale >> 23) - 150;
    int32_t r;
    if (a < 0x1000000u && exponent >= -74 && exponent <= -11) {
        /* Eleven bits of fraction: unless they lie beside a half, the float's own rounding, which moves a
           value below 4096 by 2**-13 at most, changes nothing. */
        const uint64_t p = ((uint64_t)a * mantissa) >> (-exponent - 11);
        const uint32_t fraction = (uint32_t)p & 0x7FFu;
        if (fraction != 0x3FFu && fraction != 0x400u) {
            r = (p >> 23) != 0u ? 4096 : (int32_t)(((uint32_t)p + 0x400u) >> 11);
            return edge_clamp((acc < 0 ? -r : r) + zero);
        }
    }
    {
        const uint32_t excess = edge_excess(a);
        const uint64_t rounded = excess != 0u ? edge_shift(a, excess) : a;
        r = edge_round_twice(rounded * mantissa, exponent + (int32_t)excess);
    }
    return edge_clamp((acc < 0 ? -r : r) + zero);
}
#endif
