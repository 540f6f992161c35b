/* CONV_2D as a matrix product in Helium vectors: three unfolded positions by two pairs of channels at a time. */

#if EDGE_HELIUM
/* The sums of two pairs of channels, the second pair's weights pitch bytes after the first's: sums[position][4]. */
static EDGE_NOINLINE void edge_dot(const int8_t *const *columns, int32_t depth, const int8_t *weights, int32_t pitch,
                                   int32_t *sums)
{
    const uint32_t whole = edge_hidden((uint32_t)depth / 16u);
    const int32_t *const end = sums + 4;
    do {
        const int8_t *x = columns[0], *y = columns[1], *z = columns[2], *w = weights;
        int32_t a0 = 0, a1 = 0, a2 = 0, b0 = 0, b1 = 0, b2 = 0;
        const uint32_t rest = edge_hidden((uint32_t)depth & 15u);
        uint32_t n;
        if (rest != 0u) { /* first, what is no whole vector: the weights that follow meet zeros */
            const mve_pred16_t which = vctp8q(rest);
            const int32x4x2_t both = vld2q_s32((const int32_t *)(const void *)w);
            const int8x16_t a = vreinterpretq_s8_s32(both.val[0]), b = vreinterpretq_s8_s32(both.val[1]);
            const int8x16_t p = vldrbq_z_s8(x, which), q = vldrbq_z_s8(y, which), r = vldrbq_z_s8(z, which);
            a0 = vmladavaq_s8(a0, p, a);
            a1 = vmladavaq_s8(a1, q, a);
            a2 = vmladavaq_s8(a2, r, a);
            b0 = vmladavaq_s8(b0, p, b);
            b1 = vmladavaq_s8(b1, q, b);
            b2 = vmladavaq_s8(b2, r, b);
            x += rest;
            y += rest;
            z += rest;
            w = edge_further(w, 2u * rest);
        }
        for (n = whole; n > 0u; n--) {
            const int32x4x2_t both = vld2q_s32((const int32_t *)(const void *)w);
            const int8x16_t a = vreinterpretq_s8_s32(both.val[0]), b = vreinterpretq_s8_s32(both.val[1]);
            const int8x16_t p = vldrbq_s8(x), q = vldrbq_s8(y), r = vldrbq_s8(z);
            a0 = vmladavaq_s8(a0, p, a);
            a1 = vmladavaq_s8(a1, q, a);
            a2 = vmladavaq_s8(a2, r, a);
            b0 = vmladavaq_s8(b0, p, b);
            b1 = vmladavaq_s8(b1, q, b);
            b2 = vmladavaq_s8(b2, r, b);
            x += 16;
            y += 16;
            z += 16;
            w += 32;
        }
        sums[0] = a0;
        sums[1] = b0;
        sums[4] = a1;
        sums[5] = b1;
        sums[8] = a2;
        sums[9] = b2;
        sums += 2;
        weights += pitch;
    } while (sums != end);
}

/* One position's four channels from their sums. */
static inline void edge_position(int8_t *y, const int32_t *sums, int32x4_t bias, float32x4_t scale, int32_t zero,
                                 mve_pred16_t which)
{
    edge_store_four(y, edge_scale_four(vaddq_s32(vldrwq_s32(sums), bias), scale, zero), which);
}

/* All channels of count positions, whose columns follow each other at x; so do their outputs at y. */
static EDGE_NOINLINE void edge_outputs(const edge_conv_t *c, const int8_t *x, int8_t *y, int32_t count)
{
    const edge_channel_t *channel = c->channels;
    const int8_t *w = c->weights;
    const int32_t depth = c->depth;
    const int32_t channels = c->out_channels;
    const int32_t zero = c->out_zero;
    const int8_t *columns[3];
    int8_t *second = count > 1 ? y + channels : y; /* what does not exist lies under the first, which is stored last */
    int8_t *third = count > 2 ? y + 2 * channels : y;
    int32_t left;
    columns[0] = x;
    columns[1] = count > 1 ? x + depth : x;
    columns[2] = count > 2 ? x + 2 * depth : x;
    for (left = channels; left > 0; left -= 4) {
        const int32x4x2_t both = vld2q_s32(&channel->bias); /* biases and multipliers */
        const float32x4_t scale = vreinterpretq_f32_s32(both.val[1]);
        const mve_pred16_t which = vctp32q((uint32_t)left);
        int32_t sums[12];
        edge_dot(columns, depth, w, left > 2 ? 2 * depth : 0, sums); /* or one pair twice, if there is no other */
        w += 4 * depth;
        edge_position(third, sums + 8, both.val[0], scale, zero, which);
        edge_position(second, sums + 4, both.val[0], scale, zero, which);
        edge_position(y, sums, both.val[0], scale, zero, which);
        third += 4;
        second += 4;
        y += 4;
        channel += 4;
    }
}
#endif
