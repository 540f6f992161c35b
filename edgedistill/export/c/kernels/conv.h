/* CONV_2D: two output positions at a time. */

static void edge_conv(const edge_conv_t *c, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const int32_t positions = c->out_height * c->out_width;
    int32_t p;
    for (p = 0; p < positions; p += 2) {
        int8_t *const y0 = y + p * c->out_channels;
        edge_unfold_pair(c, x, p, scratch);
        edge_outputs(c, scratch, y0, p + 1 < positions ? y0 + c->out_channels : y0);
    }
}
