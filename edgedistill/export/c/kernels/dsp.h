/* The DSP instructions of Cortex-M4, M7 and M33 on words of four int8 or two int16 values. */

#if EDGE_DSP
#if defined(EDGE_ASSEMBLY)
/* Bytes 0 and 2 as int16. */
static inline uint32_t edge_even(uint32_t x)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x));
    return r;
}

/* Bytes 1 and 3 as int16. */
static inline uint32_t edge_odd(uint32_t x)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
    return r;
}

/* acc + x.low * y.low + x.high * y.high */
static inline int32_t edge_smlad(uint32_t x, uint32_t y, int32_t acc)
{
    int32_t r;
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}

/* acc + x.low * y.low */
static inline int32_t edge_smlabb(uint32_t x, uint32_t y, int32_t acc)
{
    int32_t r;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}

/* acc + x.high * y.low */
static inline int32_t edge_smlatb(uint32_t x, uint32_t y, int32_t acc)
{
    int32_t r;
    __asm__("smlatb %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}
#else
static inline uint32_t edge_even(uint32_t x)
{
    return __SXTB16(x);
}

static inline uint32_t edge_odd(uint32_t x)
{
    return __SXTB16(__ROR(x, 8));
}

static inline int32_t edge_smlad(uint32_t x, uint32_t y, int32_t acc)
{
    return (int32_t)__SMLAD(x, y, (uint32_t)acc);
}

static inline int32_t edge_smlabb(uint32_t x, uint32_t y, int32_t acc)
{
    return edge_smlad(x & 0xFFFFu, y, acc);
}

static inline int32_t edge_smlatb(uint32_t x, uint32_t y, int32_t acc)
{
    return edge_smlad(x >> 16, y, acc);
}
#endif

/* low and high as two int16 */
static inline uint32_t edge_pack(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFFu) | ((uint32_t)high << 16);
}

/* The lower halves of x and y */
static inline uint32_t edge_lower(uint32_t x, uint32_t y)
{
    return (x & 0xFFFFu) | (y << 16);
}

/* The upper halves of x and y */
static inline uint32_t edge_upper(uint32_t x, uint32_t y)
{
    return (x >> 16) | (y & 0xFFFF0000u);
}
#endif
