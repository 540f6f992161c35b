/* ADD under the odd-denominator rule: a division by a small constant, exact in integers. */

/* y = clamp(floor((a * left + b * right + offset) / divisor) + zero): factor is 2**32 / divisor, rounded up,
   and offset makes the sum positive. */
typedef struct {
    int32_t left, right, offset, factor, zero;
} edge_add_t;

static EDGE_NOINLINE void edge_add(const edge_add_t *c, const int8_t *a, const int8_t *b, int8_t *y,
                                   int32_t count)
{
    const int32_t left = c->left;
    const int32_t right = c->right;
    const int32_t offset = c->offset;
    const int32_t factor = c->factor;
    const int32_t zero = c->zero;
    for (; count > 0; count--) {
        *y++ = edge_clamp(edge_high(*a++ * left + *b++ * right + offset, factor) + zero);
    }
}
