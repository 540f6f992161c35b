/* MUL under the odd-denominator rule, of equal shapes or by a gate of one value per channel. */

/* y = clamp(floor((product * numerator + offset) / divisor) + zero), as in ADD; products outside
   [low, high] saturate the output anyway. */
typedef struct {
    int32_t a_zero, b_zero, low, high, numerator, offset, factor, zero;
    int32_t count, period; /* values of a and y; values of b, which repeat */
} edge_mul_t;

static void edge_mul(const edge_mul_t *c, const int8_t *a, const int8_t *b, int8_t *y)
{
    int32_t i, j;
    for (i = 0; i < c->count; i += c->period) {
        for (j = 0; j < c->period; j++) {
            const int32_t product = (a[i + j] - c->a_zero) * (b[j] - c->b_zero);
            const int32_t near = edge_least(edge_most(product, c->low), c->high);
            y[i + j] = edge_clamp(edge_high(near * c->numerator + c->offset, c->factor) + c->zero);
        }
    }
}
