/* DEPTHWISE_CONV_2D, one channel's plane at a time; y may be x where their shapes are equal. */

typedef struct {
    const int8_t *weights; /* per channel: the kernel's rows */
    const edge_channel_t *channels;
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
    int32_t plane_height, plane_width; /* what all windows cover together */
    int32_t pitch; /* values from one row of the plane to the next, even */
    int32_t in_zero, out_zero;
} edge_depthwise_t;

#if EDGE_DSP
typedef int16_t __attribute__((may_alias)) edge_plane_t;
#else
typedef int8_t edge_plane_t;
#endif

/* Copies a channel with its padding; x points to the channel's first value. */
static EDGE_NOINLINE void edge_plane(const edge_depthwise_t *c, const int8_t *x, edge_plane_t *plane)
{
    const int32_t step = c->in_channels;
    const int32_t width = c->plane_width;
    const int32_t first = edge_least(c->pad_left, width);
    const int32_t last = edge_most(edge_least(c->in_width + c->pad_left, width), first);
    int32_t row, i;
    for (row = -c->pad_top; row < c->plane_height - c->pad_top; row++) {
        edge_plane_t *const next = plane + c->pitch;
        const int32_t begin = row < 0 || row >= c->in_height ? width : first;
        const int32_t end = row < 0 || row >= c->in_height ? width : last;
        for (i = 0; i < begin; i++) {
            *plane++ = (edge_plane_t)c->in_zero;
        }
        if (begin < end) {
            const int8_t *from = x + row * c->in_width * step;
            for (; i < end; i++) {
                *plane++ = *from;
                from += step;
            }
        }
        for (; i < width; i++) {
            *plane++ = (edge_plane_t)c->in_zero;
        }
        plane = next;
    }
}

#if EDGE_DSP
/* Two weights a word, twice: for windows that start at an even and at an odd value of the plane. */
static void edge_kernel_words(const edge_depthwise_t *c, const int8_t *w, edge_word_t *words)
{
    const int32_t width = c->kernel_width;
    int32_t row, i;
    for (row = 0; row < c->kernel_height; row++) {
        for (i = 0; i <= width; i += 2) {
            words[0] = edge_pack(i < width ? w[i] : 0, i + 1 < width ? w[i + 1] : 0);
            words[1] = edge_pack(i > 0 ? w[i - 1] : 0, i < width ? w[i] : 0);
            words += 2;
        }
        w += width;
    }
}

static inline int32_t edge_window_sum(const edge_depthwise_t *c, const edge_plane_t *at, const edge_word_t *words,
                                      int32_t height, int32_t pairs, int32_t acc)
{
    int32_t row, i;
    for (row = 0; row < height; row++) {
        const edge_word_t *const x = (const edge_word_t *)(const void *)at;
        for (i = 0; i < pairs; i++) {
            acc = edge_smlad(words[2 * i], x[i], acc);
        }
        words += 2 * pairs;
        at += c->pitch;
    }
    return acc;
}
#endif

static void edge_depthwise(const edge_depthwise_t *c, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const int32_t taps = c->kernel_height * c->kernel_width;
    edge_plane_t *const plane = (edge_plane_t *)(void *)scratch;
#if EDGE_DSP
    const int32_t pairs = c->kernel_width / 2 + 1;
    edge_word_t *const words = (edge_word_t *)(void *)(plane + c->pitch * c->plane_height + 2);
#endif
    int32_t channel, row, column;
    for (channel = 0; channel < c->in_channels; channel++) {
        const int8_t *const w = c->weights + channel * taps;
        const int32_t bias = c->channels[channel].bias;
        const edge_scale_t scale = c->channels[channel].scale;
        int8_t *to = y + channel;
        edge_plane(c, x + channel, plane);
#if EDGE_DSP
        edge_kernel_words(c, w, words);
#endif
        for (row = 0; row < c->out_height; row++) {
            const edge_plane_t *at = plane + row * c->stride_height * c->pitch;
            for (column = 0; column < c->out_width; column++) {
                int32_t acc = bias;
#if EDGE_DSP
                const int32_t odd = (column * c->stride_width) & 1;
                if (c->kernel_height == 3 && pairs == 2) {
                    acc = edge_window_sum(c, at - odd, words + odd, 3, 2, acc);
                } else {
                    acc = edge_window_sum(c, at - odd, words + odd, c->kernel_height, pairs, acc);
                }
#else
                int32_t i, j;
                const edge_plane_t *from = at;
                const int8_t *v = w;
                for (i = 0; i < c->kernel_height; i++) {
                    for (j = 0; j < c->kernel_width; j++) {
                        acc += from[j] * *v++;
                    }
                    from += c->pitch;
                }
#endif
                *to = edge_requantise(acc, scale, c->out_zero);
                to += c->in_channels;
                at += c->stride_width;
            }
        }
    }
}
