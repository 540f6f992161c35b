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

static inline int8_t edge_requantise(int32_t acc, edge_scale_t scale, int32_t zero)
{
    const int32_t v = edge_multiply(acc, scale);
    return edge_clamp((v < -4096 ? -4096 : v > 4096 ? 4096 : v) + zero);
}
