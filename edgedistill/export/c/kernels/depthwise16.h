/* DEPTHWISE_CONV_2D on int16: padding is zero, so windows are cut where they leave the input. */

typedef struct {
    const int8_t *weights; /* [channels][kernel_height][kernel_width] */
    const edge_channel16_t *channels;
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
    int32_t low, high;
} edge_depthwise16_t;

static void edge_depthwise16(const edge_depthwise16_t *c, const int16_t *x, int16_t *y)
{
    int32_t row, column, k, i, j;
    for (row = 0; row < c->out_height; row++) {
        const int32_t top = row * c->stride_height - c->pad_top;
        const int32_t first = edge_most(-top, 0);
        const int32_t end = edge_least(c->kernel_height, c->in_height - top);
        for (column = 0; column < c->out_width; column++) {
            const int32_t left = column * c->stride_width - c->pad_left;
            const int32_t from = edge_most(-left, 0);
            const int32_t to = edge_least(c->kernel_width, c->in_width - left);
            const int8_t *w = c->weights;
            for (k = 0; k < c->in_channels; k++) {
                int64_t acc = c->channels[k].bias;
                for (i = first; i < end; i++) {
                    const int16_t *const line = x + (top + i) * c->in_width * c->in_channels + k;
                    for (j = from; j < to; j++) {
                        acc += line[(left + j) * c->in_channels] * w[i * c->kernel_width + j];
                    }
                }
                *y++ = edge_requantise16(acc, c->channels + k, c->low, c->high);
                w += c->kernel_height * c->kernel_width;
            }
        }
    }
}
