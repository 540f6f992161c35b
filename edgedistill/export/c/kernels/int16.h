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
