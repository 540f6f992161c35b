/* CONV_2D and FULLY_CONNECTED on int16. */

/* At most 512 products, whose sum stays within int32: 512 * 127 * 2**15 < 2**31. */
static inline int32_t edge_products16(const int16_t *x, const int8_t *w, int32_t count)
{
    int32_t sum = 0;
    int32_t i = 0;
#if EDGE_DSP
    for (; i + 4 <= count; i += 4) {
        const uint32_t four = edge_load(w + i);
        const uint32_t a = edge_load((const int8_t *)(x + i));
        const uint32_t b = edge_load((const int8_t *)(x + i + 2));
        sum = edge_smlad(edge_lower(a, b), edge_even(four), sum);
        sum = edge_smlad(edge_upper(a, b), edge_odd(four), sum);
    }
#endif
    for (; i < count; i++) {
        sum += x[i] * w[i];
    }
    return sum;
}

static int64_t edge_dot16(const int16_t *x, const int8_t *w, int32_t count)
{
    int64_t sum = 0;
    for (; count > 512; count -= 512) {
        sum += edge_products16(x, w, 512);
        x += 512;
        w += 512;
    }
    return sum + edge_products16(x, w, count);
}

static void edge_conv16(const edge_window16_t *c, const int16_t *x, int16_t *y)
{
    const int32_t pitch = c->kernel_width * c->in_channels;
    int32_t row, column, k, i;
    for (row = 0; row < c->out_height; row++) {
        const edge_span16_t v = edge_span16(row * c->stride_height - c->pad_top, c->kernel_height, c->in_height);
        for (column = 0; column < c->out_width; column++) {
            const edge_span16_t h = edge_span16(column * c->stride_width - c->pad_left, c->kernel_width, c->in_width);
            const int32_t count = (h.end - h.first) * c->in_channels;
            const int8_t *w = c->weights;
            for (k = 0; k < c->out_channels; k++) {
                int64_t acc = c->channels[k].bias;
                for (i = v.first; i < v.end && count > 0; i++) {
                    acc += edge_dot16(x + ((v.start + i) * c->in_width + h.start + h.first) * c->in_channels,
                                      w + i * pitch + h.first * c->in_channels, count);
                }
                *y++ = edge_requantise16(acc, c->channels + k, c->low, c->high);
                w += c->kernel_height * pitch;
            }
        }
    }
}
