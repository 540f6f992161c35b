/* CONV_2D: a few output positions at a time. */

static void edge_conv(const edge_conv_t *c, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const int32_t positions = c->out_height * c->out_width;
    int32_t p;
    for (p = 0; p < positions; p += EDGE_POSITIONS) {
        const int32_t count = edge_least(positions - p, EDGE_POSITIONS);
        edge_outputs(c, edge_columns(c, x, p, count, scratch), y + p * c->out_channels, count);
    }
}
