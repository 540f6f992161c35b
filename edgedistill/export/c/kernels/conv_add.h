/* CONV_2D whose output goes straight into an ADD: y may be other, whose bytes are then reused. */

#define EDGE_CONV_ADD(add)                                                                            \
    static void edge_conv_##add(const edge_conv_t *c, const edge_##add##_t *sum, const int8_t *x,     \
                                const int8_t *other, int8_t *y, int8_t *scratch)                      \
    {                                                                                                 \
        const int32_t positions = c->out_height * c->out_width;                                       \
        const int32_t channels = c->out_channels;                                                     \
        int8_t *const tile = scratch; /* in front of the columns */                                   \
        int32_t p;                                                                                    \
        scratch += (EDGE_POSITIONS * channels + 3) & ~3;                                              \
        for (p = 0; p < positions; p += EDGE_POSITIONS) {                                             \
            const int32_t count = edge_least(positions - p, EDGE_POSITIONS);                          \
            const int32_t at = p * channels;                                                          \
            edge_outputs(c, edge_columns(c, x, p, count, scratch), tile, count);                      \
            edge_##add(sum, tile, other + at, y + at, count * channels);                              \
        }                                                                                             \
    }
