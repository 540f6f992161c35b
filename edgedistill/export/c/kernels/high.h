/* The upper half of a product: how ADD and MUL divide by a constant. */

static inline int32_t edge_high(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b) >> 32);
}
