/* DEPTHWISE_CONV_2D: its structure, and the plane of one channel, or of four, copied with its padding. */

typedef struct {
    const int8_t *weights; /* per channel: the kernel's rows */
    const edge_channel_t *channels;
    int32_t weights_step, channels_step; /* from one channel to the next; 0 where all have the same */
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
    int32_t plane_height, plane_width; /* what all windows cover together */
    int32_t pitch; /* values from one row of the plane to the next, even */
    int32_t in_zero, out_zero;
} edge_depthwise_t;

#if EDGE_HELIUM || EDGE_NEON
typedef edge_word_t edge_plane_t; /* four channels */
#define EDGE_CHANNELS 4

static inline edge_plane_t edge_values(const int8_t *x, int32_t channels)
{
    edge_plane_t v = 0u;
    if (channels == 4) {
        return edge_load(x);
    }
    for (; channels > 0; channels--) {
        v = (v << 8) | (uint8_t)x[channels - 1];
    }
    return v;
}

static inline edge_plane_t edge_padding(int32_t zero)
{
    return (uint8_t)zero * 0x01010101u;
}
#else
#if EDGE_DSP
typedef int16_t __attribute__((may_alias)) edge_plane_t;
#else
typedef int8_t edge_plane_t;
#endif
#define EDGE_CHANNELS 1
#define edge_values(x, channels) (*(x))
#define edge_padding(zero) ((edge_plane_t)(zero))
#endif

/* Copies EDGE_CHANNELS channels, or the last few, with their padding; x points to their first values. */
static EDGE_NOINLINE void edge_plane(const edge_depthwise_t *c, const int8_t *x, int32_t channels, edge_plane_t *plane)
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
            *plane++ = edge_padding(c->in_zero);
        }
        if (begin < end) {
            int32_t from = row * c->in_width * step;
            for (; i + 1 < end; i += 2) {
                plane[0] = edge_values(x + from, channels);
                plane[1] = edge_values(x + from + step, channels);
                plane += 2;
                from += 2 * step;
            }
            if (i < end) {
                *plane++ = edge_values(x + from, channels);
                i++;
            }
        }
        for (; i < width; i++) {
            *plane++ = edge_padding(c->in_zero);
        }
        plane = next;
    }
    (void)channels;
}
