/* CONV_2D as a matrix product in NEON vectors: four unfolded positions by two pairs of channels at a time. */

#if EDGE_NEON
/* One position's sums of four channels, each in four parts. */
static inline void edge_dot(edge_sixteen_t *parts, const int8_t *x, int32x4x2_t first, int32x4x2_t second)
{
    const int8x16_t v = vld1q_s8(x);
    parts->a = edge_dot_sixteen(parts->a, v, vreinterpretq_s8_s32(first.val[0]));
    parts->b = edge_dot_sixteen(parts->b, v, vreinterpretq_s8_s32(first.val[1]));
    parts->c = edge_dot_sixteen(parts->c, v, vreinterpretq_s8_s32(second.val[0]));
    parts->d = edge_dot_sixteen(parts->d, v, vreinterpretq_s8_s32(second.val[1]));
}

static inline int32x4_t edge_whole(const edge_sixteen_t *parts)
{
    return vpaddq_s32(vpaddq_s32(parts->a, parts->b), vpaddq_s32(parts->c, parts->d));
}

/* Four positions' sums of two pairs of channels, the second pair's weights pitch bytes after the first's. */
static inline edge_sixteen_t edge_products(const int8_t *const *x, int32_t depth, const int8_t *w, int32_t pitch,
                                           int32x4_t bias)
{
    const int8_t *const x0 = x[0], *const x1 = x[1], *const x2 = x[2], *const x3 = x[3];
    const int32x4_t none = vdupq_n_s32(0);
    const edge_sixteen_t zeros = {none, none, none, none};
    edge_sixteen_t p0 = zeros, p1 = zeros, p2 = zeros, p3 = zeros, sums;
    int32_t k;
    for (k = 0; k + 16 <= depth; k += 16) {
        const int32x4x2_t first = vld2q_s32((const int32_t *)(const void *)w);
        const int32x4x2_t second = vld2q_s32((const int32_t *)(const void *)(w + pitch));
        edge_dot(&p0, x0 + k, first, second);
        edge_dot(&p1, x1 + k, first, second);
        edge_dot(&p2, x2 + k, first, second);
        edge_dot(&p3, x3 + k, first, second);
        w += 32;
    }
    sums.a = vaddq_s32(bias, edge_whole(&p0));
    sums.b = vaddq_s32(bias, edge_whole(&p1));
    sums.c = vaddq_s32(bias, edge_whole(&p2));
    sums.d = vaddq_s32(bias, edge_whole(&p3));
    for (; k < depth; k += 4) {
        const int8x16_t four = vcombine_s8(vld1_s8(w), vld1_s8(w + pitch));
        sums.a = edge_dot_fours(sums.a, edge_repeated(x0 + k), four);
        sums.b = edge_dot_fours(sums.b, edge_repeated(x1 + k), four);
        sums.c = edge_dot_fours(sums.c, edge_repeated(x2 + k), four);
        sums.d = edge_dot_fours(sums.d, edge_repeated(x3 + k), four);
        w += 8;
    }
    return sums;
}

/* All channels of count positions, whose columns follow each other at x; so do their outputs at y. */
static EDGE_NOINLINE void edge_outputs(const edge_conv_t *c, const int8_t *x, int8_t *y, int32_t count)
{
    const edge_channel_t *channel = c->channels;
    const int8_t *w = c->weights;
    const int32_t depth = c->depth;
    const int32_t zero = c->out_zero;
    const int8_t *columns[EDGE_POSITIONS];
    int8_t *to[EDGE_POSITIONS];
    int32_t left, i;
    for (i = 0; i < EDGE_POSITIONS; i++) { /* what does not exist lies under the first, which is stored last */
        columns[i] = i < count ? x + i * depth : x;
        to[i] = i < count ? y + i * c->out_channels : y;
    }
    for (left = c->out_channels; left > 0; left -= 4) {
        edge_scales_t scale;
        const int32x4_t bias = edge_four_channels(channel, &scale);
        /* One pair twice, if there is no other. */
        edge_sixteen_t v = edge_products(columns, depth, w, left > 2 ? 2 * depth : 0, bias);
        v.a = edge_scale_four(v.a, scale, zero);
        v.b = edge_scale_four(v.b, scale, zero);
        v.c = edge_scale_four(v.c, scale, zero);
        v.d = edge_scale_four(v.d, scale, zero);
        edge_store_fours(to, &v, left);
        for (i = 0; i < EDGE_POSITIONS; i++) {
            to[i] += 4;
        }
        w += 4 * depth;
        channel += 4;
    }
}
#endif
