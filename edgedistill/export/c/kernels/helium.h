/* Helium: four sums requantised at once, to the same bits as one by one. */

#if EDGE_HELIUM
/* p + count, of which the compiler does not know that it comes from p: GCC 12 otherwise prints VLD2 and VLD4 with
   an increment that they do not have. */
static inline const int8_t *edge_further(const int8_t *p, uint32_t count)
{
    __asm__("" : "+r"(p));
    return p + count;
}

/* n, of which the compiler does not know whence it comes: it counts loops in fewer instructions, and prepares
   nothing from n ahead of where it is used. */
static inline uint32_t edge_hidden(uint32_t n)
{
    __asm__ volatile("" : "+r"(n));
    return n;
}

/* Four integers from int32 sums and their multipliers, rounded half to even, the zero point added. Helium takes
   subnormal numbers for zero, to which they round anyway. */
static inline int32x4_t edge_scale_four(int32x4_t acc, float32x4_t scale, int32_t zero)
{
    return vqaddq_n_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), scale)), zero);
}

/* Saturates four integers to int8 and stores those that the predicate names. */
static inline void edge_store_four(int8_t *y, int32x4_t v, mve_pred16_t which)
{
    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(v, vdupq_n_s32(-128)), vdupq_n_s32(127)), which);
}
#endif
