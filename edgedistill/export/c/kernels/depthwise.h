/* DEPTHWISE_CONV_2D, the plane of one channel (Helium, NEON: of four) at a time; y may be x where their shapes are equal. */

#if EDGE_HELIUM || EDGE_NEON
/* The kernel's values of four channels, or of the last few, side by side. */
static void edge_kernel_words(const edge_depthwise_t *c, const int8_t *w, int32_t channels, int8_t *words)
{
    const int32_t taps = c->kernel_height * c->kernel_width;
    int32_t tap, i;
    for (tap = 0; tap < taps; tap++) {
        for (i = 0; i < 4; i++) {
            words[i] = i < channels ? w[i * c->weights_step] : 0;
        }
        words += 4;
        w++;
    }
}
#endif

#if EDGE_HELIUM
/* Three neighbouring outputs of four channels. */
static inline void edge_window(const edge_depthwise_t *c, const edge_plane_t *at, const int8_t *words, int32x4_t *acc)
{
    const int32_t step = 4 * c->stride_width;
    const int32_t width = c->kernel_width;
    const int32_t pitch = c->pitch;
    int32x4_t a = acc[0], b = acc[0], d = acc[0];
    int32_t row, left;
    for (row = c->kernel_height; row > 0; row--) {
        const int8_t *x = (const int8_t *)at;
        const int8_t *y = x + step;
        const int8_t *z = y + step;
        for (left = width; left > 0; left--) {
            const int32x4_t w = vldrbq_s32(words);
            a = vaddq_s32(a, vmulq_s32(vldrbq_s32(x), w));
            b = vaddq_s32(b, vmulq_s32(vldrbq_s32(y), w));
            d = vaddq_s32(d, vmulq_s32(vldrbq_s32(z), w));
            words += 4;
            x += 4;
            y += 4;
            z += 4;
        }
        at += pitch;
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = d;
}

static EDGE_NOINLINE void edge_channel(const edge_depthwise_t *c, const edge_plane_t *plane, const int8_t *words,
                                       const edge_channel_t *channel, int32_t channels, int8_t *y)
{
    const mve_pred16_t which = vctp32q((uint32_t)channels);
    const int32x4x2_t both = vld2q_s32(&channel->bias); /* biases and multipliers */
    const float32x4_t scale = vreinterpretq_f32_s32(both.val[1]);
    const int32_t step = c->in_channels;
    const int32_t zero = c->out_zero;
    int32_t row, left;
    for (row = 0; row < c->out_height; row++) {
        const edge_plane_t *at = plane + row * c->stride_height * c->pitch;
        for (left = c->out_width; left > 0; left -= 3) { /* past the plane's end lies more of the scratch memory */
            int32x4_t acc[3];
            acc[0] = both.val[0];
            edge_window(c, at, words, acc);
            edge_store_four(y, edge_scale_four(acc[0], scale, zero), which);
            y += step;
            if (left > 1) {
                edge_store_four(y, edge_scale_four(acc[1], scale, zero), which);
                y += step;
            }
            if (left > 2) {
                edge_store_four(y, edge_scale_four(acc[2], scale, zero), which);
                y += step;
            }
            at += 3 * c->stride_width;
        }
    }
}
#elif EDGE_NEON
/* Four values of four channels, step words apart; reads up to step - 1 words more. */
static inline int8x16_t edge_neighbours(const edge_plane_t *at, int32_t step)
{
    if (step == 1) {
        return vld1q_s8((const int8_t *)at);
    }
    if (step == 2) {
        return vreinterpretq_s8_u32(vld2q_u32(at).val[0]);
    }
    {
        const uint32x2_t low = vset_lane_u32(at[step], vdup_n_u32(at[0]), 1);
        const uint32x2_t high = vset_lane_u32(at[3 * step], vdup_n_u32(at[2 * step]), 1);
        return vreinterpretq_s8_u32(vcombine_u32(low, high));
    }
}

static inline void edge_accumulate(edge_sixteen_t *acc, int16x8_t low, int16x8_t high)
{
    acc->a = vaddw_s16(acc->a, vget_low_s16(low));
    acc->b = vaddw_high_s16(acc->b, low);
    acc->c = vaddw_s16(acc->c, vget_low_s16(high));
    acc->d = vaddw_high_s16(acc->d, high);
}

static inline void edge_tap(edge_sixteen_t *acc, int8x16_t x, int8x16_t w)
{
    edge_accumulate(acc, vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w));
}

/* Two products fit in int16, as weights are never -128. */
static inline void edge_two_taps(edge_sixteen_t *acc, int8x16_t x, int8x16_t w, int8x16_t y, int8x16_t v)
{
    const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(x), vget_low_s8(w)), vget_low_s8(y), vget_low_s8(v));
    edge_accumulate(acc, low, vmlal_high_s8(vmull_high_s8(x, w), y, v));
}

static inline void edge_window(const edge_depthwise_t *c, const edge_plane_t *at, const int8_t *words, int32_t step,
                               edge_sixteen_t *acc)
{
    const int32_t width = c->kernel_width;
    int32_t row, i;
    for (row = c->kernel_height; row > 0; row--) {
        for (i = 0; i + 1 < width; i += 2) {
            edge_two_taps(acc, edge_neighbours(at + i, step), edge_repeated(words), edge_neighbours(at + i + 1, step),
                          edge_repeated(words + 4));
            words += 8;
        }
        if (i < width) {
            edge_tap(acc, edge_neighbours(at + i, step), edge_repeated(words));
            words += 4;
        }
        at += c->pitch;
    }
}

/* A kernel of three by three, its weights in registers. */
static inline void edge_window_of_nine(const edge_plane_t *at, int32_t pitch, const int8x16_t *w, int32_t step,
                                       edge_sixteen_t *acc)
{
    const edge_plane_t *const mid = at + pitch, *const low = mid + pitch;
    edge_two_taps(acc, edge_neighbours(at, step), w[0], edge_neighbours(at + 1, step), w[1]);
    edge_two_taps(acc, edge_neighbours(at + 2, step), w[2], edge_neighbours(mid, step), w[3]);
    edge_two_taps(acc, edge_neighbours(mid + 1, step), w[4], edge_neighbours(mid + 2, step), w[5]);
    edge_two_taps(acc, edge_neighbours(low, step), w[6], edge_neighbours(low + 1, step), w[7]);
    edge_tap(acc, edge_neighbours(low + 2, step), w[8]);
}

/* With a constant step, and nine taps or any number, the compiler makes a loop for each. */
static inline void edge_channel_by(const edge_depthwise_t *c, const edge_plane_t *plane, const int8_t *words,
                                   const edge_channel_t *channel, int32_t channels, int8_t *y, int32_t step, int nine)
{
    const int32_t next = c->in_channels, zero = c->out_zero, pitch = c->pitch, width = c->out_width;
    edge_scales_t scale;
    const int32x4_t bias = edge_four_channels(channel, &scale);
    int8x16_t w[9];
    int32_t row, left, i;
    for (i = 0; i < 9; i++) {
        w[i] = edge_repeated(words + (nine ? 4 * i : 0));
    }
    for (row = 0; row < c->out_height; row++) {
        const edge_plane_t *at = plane + row * c->stride_height * pitch;
        for (left = width; left > 0; left -= 4) { /* past the plane's end lies more of the scratch memory */
            edge_sixteen_t v = {bias, bias, bias, bias};
            int8_t *to[4]; /* what does not exist lies under the first, which is stored last */
            to[0] = y;
            to[1] = left > 1 ? y + next : y;
            to[2] = left > 2 ? y + 2 * next : y;
            to[3] = left > 3 ? y + 3 * next : y;
            if (nine) {
                edge_window_of_nine(at, pitch, w, step, &v);
            } else {
                edge_window(c, at, words, step, &v);
            }
            v.a = edge_scale_four(v.a, scale, zero);
            v.b = edge_scale_four(v.b, scale, zero);
            v.c = edge_scale_four(v.c, scale, zero);
            v.d = edge_scale_four(v.d, scale, zero);
            edge_store_fours(to, &v, channels);
            y += edge_least(left, 4) * next;
            at += 4 * step;
        }
    }
}

static EDGE_NOINLINE void edge_channel(const edge_depthwise_t *c, const edge_plane_t *plane, const int8_t *words,
                                       const edge_channel_t *channel, int32_t channels, int8_t *y)
{
    const int nine = c->kernel_height == 3 && c->kernel_width == 3;
    if (nine && c->stride_width == 1) {
        edge_channel_by(c, plane, words, channel, channels, y, 1, 1);
    } else if (nine && c->stride_width == 2) {
        edge_channel_by(c, plane, words, channel, channels, y, 2, 1);
    } else {
        edge_channel_by(c, plane, words, channel, channels, y, c->stride_width, 0);
    }
}
#elif EDGE_DSP
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

/* acc[0] of the window that starts at x, acc[1] of the one after: both meet the same words. */
static inline const edge_word_t *edge_row(const edge_word_t *x, const edge_word_t *words, int32_t pairs, int32_t *acc)
{
    for (; pairs > 0; pairs--) {
        acc[0] = edge_smlad(words[0], x[0], acc[0]);
        acc[1] = edge_smlad(words[1], x[0], acc[1]);
        words += 2;
        x++;
    }
    return words;
}

static inline void edge_window(const edge_depthwise_t *c, const edge_plane_t *at, const edge_word_t *words,
                               int32_t pairs, int32_t *acc)
{
    const edge_word_t *x = (const edge_word_t *)(const void *)at;
    const int32_t pitch = c->pitch / 2;
    int32_t row;
    for (row = 0; row < c->kernel_height; row++) {
        words = edge_row(x, words, pairs, acc);
        x += pitch;
    }
}

/* The upper half of a word and the lower half of the next. */
static inline uint32_t edge_between(const edge_word_t *x)
{
    return edge_load((const int8_t *)(const void *)x + 2);
}

/* Kernels of three rows, two or three wide, with a stride of one or two: all in registers. */
static EDGE_NOINLINE void edge_channel_of_three(const edge_depthwise_t *c, const edge_plane_t *plane,
                                                const edge_word_t *w, const edge_channel_t *channel, int8_t *y)
{
    const int32_t bias = channel->bias;
    const edge_scale_t scale = channel->scale;
    const int32_t zero = c->out_zero;
    const int32_t step = c->in_channels;
    const int32_t pitch = c->pitch / 2;
    const int32_t width = c->out_width;
    const int32_t pairs = c->stride_width == 1 ? width / 2 : 0; /* of outputs from the words at one place */
    const int32_t skip = c->stride_height * pitch;
    const edge_word_t *line = (const edge_word_t *)(const void *)plane;
    const uint32_t a = w[0], a_last = w[2], b = w[4], b_last = w[6], d = w[8], d_last = w[10];
    int32_t rows = c->out_height;
    for (; rows > 0; rows--) {
        const edge_word_t *x0 = line;
        const edge_word_t *x1 = line + pitch;
        const edge_word_t *x2 = x1 + pitch;
        int32_t left;
        for (left = pairs; left > 0; left--) { /* the second from words between the words */
            const uint32_t a1 = x0[1], b1 = x1[1], d1 = x2[1];
            int32_t sum = edge_smlad(edge_between(x0), a, bias);
            int32_t first = edge_smlad(*x0++, a, bias);
            sum = edge_smlad(edge_between(x1), b, edge_smlatb(a1, a_last, sum));
            first = edge_smlad(*x1++, b, edge_smlabb(a1, a_last, first));
            sum = edge_smlad(edge_between(x2), d, edge_smlatb(b1, b_last, sum));
            first = edge_smlad(*x2++, d, edge_smlabb(b1, b_last, first));
            *y = edge_requantise(edge_smlabb(d1, d_last, first), scale, zero);
            y += step;
            *y = edge_requantise(edge_smlatb(d1, d_last, sum), scale, zero);
            y += step;
        }
        for (left = width - 2 * pairs; left > 0; left--) {
            int32_t sum = edge_smlabb(x0[1], a_last, edge_smlad(x0[0], a, bias));
            sum = edge_smlabb(x1[1], b_last, edge_smlad(x1[0], b, sum));
            sum = edge_smlabb(x2[1], d_last, edge_smlad(x2[0], d, sum));
            *y = edge_requantise(sum, scale, zero);
            y += step;
            x0++;
            x1++;
            x2++;
        }
        line += skip;
    }
}

static EDGE_NOINLINE void edge_channel(const edge_depthwise_t *c, const edge_plane_t *plane, const edge_word_t *words,
                                       const edge_channel_t *channel, int8_t *y)
{
    const int32_t pairs = c->kernel_width / 2 + 1;
    const int32_t step = c->in_channels;
    int32_t row, column;
    int32_t to = 0;
    for (row = 0; row < c->out_height; row++) {
        const edge_plane_t *const line = plane + row * c->stride_height * c->pitch;
        for (column = 0; column < c->out_width; column++) {
            const int32_t start = column * c->stride_width;
            int32_t acc[2];
            acc[0] = acc[1] = channel->bias;
            edge_window(c, line + (start & ~1), words, pairs, acc);
            y[to] = edge_requantise(acc[start & 1], channel->scale, c->out_zero);
            to += step;
            if (c->stride_width == 1 && column + 1 < c->out_width) {
                y[to] = edge_requantise(acc[1], channel->scale, c->out_zero);
                to += step;
                column++;
            }
        }
    }
}
#else
static EDGE_NOINLINE void edge_channel(const edge_depthwise_t *c, const edge_plane_t *plane, const int8_t *w,
                                       const edge_channel_t *channel, int8_t *y)
{
    int32_t row, column, i, j;
    int32_t to = 0;
    for (row = 0; row < c->out_height; row++) {
        const edge_plane_t *const line = plane + row * c->stride_height * c->pitch;
        for (column = 0; column < c->out_width; column++) {
            const edge_plane_t *from = line + column * c->stride_width;
            const int8_t *v = w;
            int32_t acc = channel->bias;
            for (i = 0; i < c->kernel_height; i++) {
                for (j = 0; j < c->kernel_width; j++) {
                    acc += from[j] * *v++;
                }
                from += c->pitch;
            }
            y[to] = edge_requantise(acc, channel->scale, c->out_zero);
            to += c->in_channels;
        }
    }
}
#endif

static void edge_depthwise(const edge_depthwise_t *c, const int8_t *x, int8_t *y, int8_t *scratch)
{
    edge_plane_t *const plane = (edge_plane_t *)(void *)scratch;
    int32_t channel;
    for (channel = 0; channel < c->in_channels; channel += EDGE_CHANNELS) {
        const edge_channel_t *const constants = c->channels + channel * c->channels_step;
        const int8_t *const w = c->weights + channel * c->weights_step;
        const int32_t channels = edge_least(c->in_channels - channel, EDGE_CHANNELS);
        edge_plane(c, x + channel, channels, plane);
#if EDGE_HELIUM || EDGE_NEON
        {
            int8_t *const words = (int8_t *)(plane + c->pitch * c->plane_height + 2 * c->stride_width);
            if (channel == 0 || c->weights_step != 0) {
                edge_kernel_words(c, w, channels, words);
            }
            edge_channel(c, plane, words, constants, channels, y + channel);
        }
#elif EDGE_DSP
        {
            edge_word_t *const words = (edge_word_t *)(void *)(plane + c->pitch * c->plane_height + 2);
            if (channel == 0 || c->weights_step != 0) {
                edge_kernel_words(c, w, words);
            }
            if (c->kernel_height == 3 && c->kernel_width / 2 == 1 && c->stride_width <= 2) {
                edge_channel_of_three(c, plane, words, constants, y + channel);
            } else {
                edge_channel(c, plane, words, constants, y + channel);
            }
        }
#else
        edge_channel(c, plane, w, constants, y + channel);
#endif
    }
}
