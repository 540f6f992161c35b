/* DEPTHWISE_CONV_2D on int16. */

static void edge_depthwise16(const edge_window16_t *c, const int16_t *x, int16_t *y)
{
    int32_t row, column, k, i, j;
    for (row = 0; row < c->out_height; row++) {
        const edge_span16_t v = edge_span16(row * c->stride_height - c->pad_top, c->kernel_height, c->in_height);
        for (column = 0; column < c->out_width; column++) {
            const edge_span16_t h = edge_span16(column * c->stride_width - c->pad_left, c->kernel_width, c->in_width);
            const int8_t *w = c->weights;
            for (k = 0; k < c->out_channels; k++) {
                int64_t acc = c->channels[k].bias;
                for (i = v.first; i < v.end; i++) {
                    const int16_t *const line = x + (v.start + i) * c->in_width * c->in_channels + k;
                    for (j = h.first; j < h.end; j++) {
                        acc += line[(h.start + j) * c->in_channels] * w[i * c->kernel_width + j];
                    }
                }
                *y++ = edge_requantise16(acc, c->channels + k, c->low, c->high);
                w += c->kernel_height * c->kernel_width;
            }
        }
    }
}
