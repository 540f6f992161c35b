/* int32 sums to int8 in family D: gemmlowp's fixed point, rounded twice, as TensorFlow Lite Micro has it. */

typedef struct {
    int32_t multiplier, shift; /* multiplier / 2**31 * 2**shift; shift -31 to 30 */
} edge_scale_t;

/* An output channel: the bias with the input's zero point folded in, and the multiplier. */
typedef struct {
    int32_t bias;
    edge_scale_t scale;
} edge_channel_t;

/* First half towards plus infinity, then half away from zero; far values saturate. */
static EDGE_NOINLINE int32_t edge_multiply(int32_t value, edge_scale_t scale)
{
    const int32_t left = scale.shift > 0 ? scale.shift : 0;
    const int32_t right = scale.shift < 0 ? -scale.shift : 0;
    int64_t x = (int64_t)value * ((int64_t)1 << left);
    x = x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x;
    x = (x * scale.multiplier + ((int64_t)1 << 30)) >> 31;
    x += (((int64_t)1 << right) >> 1) - (x < 0 && right > 0 ? 1 : 0);
    return (int32_t)(x >> right);
}

#if EDGE_NEON
typedef struct {
    int32x4_t multiplier, shift;
} edge_scales_t;

static inline edge_scales_t edge_same_scales(edge_scale_t scale)
{
    edge_scales_t four;
    four.multiplier = vdupq_n_s32(scale.multiplier);
    four.shift = vdupq_n_s32(scale.shift);
    return four;
}

static inline edge_scales_t edge_four_scales(const edge_scale_t *scale)
{
    const int32x4x2_t both = vld2q_s32(&scale->multiplier);
    edge_scales_t four;
    four.multiplier = both.val[0];
    four.shift = both.val[1];
    return four;
}

/* Four biases and multipliers. */
static inline int32x4_t edge_four_channels(const edge_channel_t *channel, edge_scales_t *scale)
{
    const int32x4x3_t all = vld3q_s32(&channel->bias);
    scale->multiplier = all.val[1];
    scale->shift = all.val[2];
    return all.val[0];
}

/* What edge_multiply does, four times. */
static inline int32x4_t edge_multiply_four(int32x4_t value, edge_scales_t scale)
{
    const int32x4_t left = vmaxq_s32(scale.shift, vdupq_n_s32(0));
    const int32x4_t right = vminq_s32(scale.shift, vdupq_n_s32(0));
    const int32x4_t x = vqrdmulhq_s32(vqshlq_s32(value, left), scale.multiplier);
    const int32x4_t below = vshrq_n_s32(vandq_s32(x, right), 31); /* -1: a half goes down */
    return vrshlq_s32(vqaddq_s32(x, below), right);
}

/* Four sums and their multipliers, the zero point added; far values saturate. */
static inline int32x4_t edge_scale_four(int32x4_t acc, edge_scales_t scale, int32_t zero)
{
    return vqaddq_s32(edge_multiply_four(acc, scale), vdupq_n_s32(zero));
}
#endif

static inline int8_t edge_requantise(int32_t acc, edge_scale_t scale, int32_t zero)
{
    const int32_t v = edge_multiply(acc, scale);
    return edge_clamp((v < -4096 ? -4096 : v > 4096 ? 4096 : v) + zero);
}
