/* MAX_POOL_2D: padding never wins. */

typedef struct {
    int32_t in_height, in_width, channels;
    int32_t out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
} edge_max_pool_t;

static void edge_max_pool(const edge_max_pool_t *c, const int8_t *x, int8_t *y)
{
    int32_t row, column, i, j, k;
    for (row = 0; row < c->out_height; row++) {
        const int32_t top = row * c->stride_height - c->pad_top;
        const int32_t bottom = edge_least(top + c->kernel_height, c->in_height);
        for (column = 0; column < c->out_width; column++) {
            const int32_t left = column * c->stride_width - c->pad_left;
            const int32_t right = edge_least(left + c->kernel_width, c->in_width);
            for (k = 0; k < c->channels; k++) {
                y[k] = -128;
            }
            for (i = edge_most(top, 0); i < bottom; i++) {
                for (j = edge_most(left, 0); j < right; j++) {
                    const int8_t *const v = x + (i * c->in_width + j) * c->channels;
                    k = 0;
#if EDGE_NEON
                    for (; k + 16 <= c->channels; k += 16) {
                        vst1q_s8(y + k, vmaxq_s8(vld1q_s8(y + k), vld1q_s8(v + k)));
                    }
#endif
                    for (; k < c->channels; k++) {
                        y[k] = v[k] > y[k] ? v[k] : y[k];
                    }
                }
            }
            y += c->channels;
        }
    }
}
