/* ADD in family D: both operands are brought to one scale with 20 more bits, then summed. */

typedef struct {
    int32_t left_zero, right_zero, zero;
    edge_scale_t left, right, sum;
} edge_add_fixed_t;

static EDGE_NOINLINE void edge_add_fixed(const edge_add_fixed_t *c, const int8_t *a, const int8_t *b, int8_t *y,
                                         int32_t count)
{
    for (; count > 0; count--) {
        const int32_t left = edge_multiply((*a++ - c->left_zero) * 1048576, c->left);
        const int32_t right = edge_multiply((*b++ - c->right_zero) * 1048576, c->right);
        *y++ = edge_requantise(left + right, c->sum, c->zero);
    }
}
