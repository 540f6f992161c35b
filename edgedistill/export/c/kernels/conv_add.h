/* CONV_2D whose output goes straight into an ADD: y may be other, whose bytes are then reused. */

#define EDGE_CONV_ADD(add)                                                                            \
    static void edge_conv_##add(const edge_conv_t *c, const edge_##add##_t *sum, const int8_t *x,     \
                                const int8_t *other, int8_t *y, int8_t *scratch)                      \
    {                                                                                                 \
        const int32_t positions = c->out_height * c->out_width;                                       \
        const int32_t channels = c->out_channels;                                                     \
        int8_t *const pair = scratch; /* in front of the columns */                                   \
        int32_t p;                                                                                    \
        scratch += (2 * channels + 3) & ~3;                                                           \
        for (p = 0; p < positions; p += 2) {                                                          \
            const int32_t count = edge_least(positions - p, 2);                                       \
            const int32_t at = p * channels;                                                          \
            edge_unfold_pair(c, x, p, scratch);                                                       \
            edge_outputs(c, scratch, pair, count > 1 ? pair + channels : pair);                       \
            edge_##add(sum, pair, other + at, y + at, count * channels);                              \
        }                                                                                             \
    }
