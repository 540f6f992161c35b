/* MUL of any scales: the product of two integers, requantised as a convolution's sum is. */

typedef struct {
    int32_t a_zero, b_zero, zero;
    edge_scale_t scale;
    int32_t count, period; /* values of a and y; values of b, which repeat */
} edge_mul_float_t;

static void edge_mul_float(const edge_mul_float_t *c, const int8_t *a, const int8_t *b, int8_t *y)
{
    int32_t i, j;
    for (i = 0; i < c->count; i += c->period) {
        for (j = 0; j < c->period; j++) {
            const int32_t product = (a[i + j] - c->a_zero) * (b[j] - c->b_zero);
            y[i + j] = edge_requantise(product, c->scale, c->zero);
        }
    }
}
