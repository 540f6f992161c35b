/* The upper half of a product: how ADD and MUL divide by a constant. */

static inline int32_t edge_high(int32_t a, int32_t b)
{
#if defined(EDGE_ASSEMBLY)
    int32_t r;
    __asm__("smmul %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
#else
    return (int32_t)(((int64_t)a * b) >> 32);
#endif
}

#if EDGE_NEON
/* Four of them, of positive numbers, plus zero. */
static inline int32x4_t edge_high_four(int32x4_t a, int32_t b, int32_t zero)
{
    return vsraq_n_s32(vdupq_n_s32(zero), vqdmulhq_n_s32(a, b), 1);
}
#endif
