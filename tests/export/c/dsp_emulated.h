/* The DSP instructions of Cortex-M in C, so that the kernels written for them run on any computer. */
static inline uint32_t __ROR(uint32_t x, uint32_t n)
{
    return (x >> n) | (x << (32u - n));
}

static inline uint32_t __SXTB16(uint32_t x)
{
    const uint32_t low = (uint32_t)(int32_t)(int8_t)(x & 0xFFu) & 0xFFFFu;
    const uint32_t high = (uint32_t)(int32_t)(int8_t)((x >> 16) & 0xFFu) & 0xFFFFu;
    return low | (high << 16);
}

static inline uint32_t __SMLAD(uint32_t x, uint32_t y, uint32_t acc)
{
    const int32_t low = (int32_t)(int16_t)(x & 0xFFFFu) * (int16_t)(y & 0xFFFFu);
    const int32_t high = (int32_t)(int16_t)(x >> 16) * (int16_t)(y >> 16);
    return acc + (uint32_t)low + (uint32_t)high;
}
