/* int16 activations and int8 weights: sums of 64 bits, a multiplier of 15 bits, rounded half up. */

/* An output channel: its multiplier is multiplier / 2**shift, shift 8 to 46. */
typedef struct {
    int32_t bias;
    int16_t multiplier, shift;
} edge_channel16_t;

static inline int16_t edge_clamp16(int32_t v, int32_t low, int32_t high)
{
    return (int16_t)(v < low ? low : v > high ? high : v);
}

static inline int16_t edge_requantise16(int64_t acc, const edge_channel16_t *c, int32_t low, int32_t high)
{
    const int64_t v = (acc * c->multiplier + ((int64_t)1 << (c->shift - 1))) >> c->shift;
    return (int16_t)(v < low ? low : v > high ? high : v);
}

/* A convolution; weights are [out_channels][kernel_height][kernel_width][in_channels], of a depthwise one without
   in_channels. */
typedef struct {
    const int8_t *weights;
    const edge_channel16_t *channels;
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
    int32_t low, high;
} edge_window16_t;

/* A window that starts at a place of the input, and which of its rows or columns, first to end - 1, lie within:
   padding is zero, so the others add nothing. */
typedef struct {
    int32_t start, first, end;
} edge_span16_t;

static inline edge_span16_t edge_span16(int32_t start, int32_t kernel, int32_t size)
{
    edge_span16_t span;
    span.start = start;
    span.first = edge_most(-start, 0);
    span.end = edge_least(kernel, size - start);
    return span;
}
