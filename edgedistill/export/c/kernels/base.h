/* What every kernel stands on: types, saturation, and what this processor offers. */

#if !defined(EDGE_FLOAT) /* 1: requantise on the floating point unit; 0: the same bits from integers */
#if defined(__ARM_FP)
#define EDGE_FLOAT ((__ARM_FP & 4) != 0)
#elif defined(__SSE2__) || defined(__aarch64__) || defined(__riscv_flen) || defined(__wasm__)
#define EDGE_FLOAT 1
#else
#define EDGE_FLOAT 0
#endif
#endif

#if defined(EDGE_DSP_HEADER) /* the DSP instructions from elsewhere, such as an emulation in C */
#include EDGE_DSP_HEADER
#define EDGE_DSP 1
#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__) && !defined(EDGE_PORTABLE)
#define EDGE_DSP 1
#define EDGE_ASSEMBLY 1
#else
#define EDGE_DSP 0
#endif

#if defined(__ARM_FEATURE_MVE) && EDGE_FLOAT && defined(EDGE_ASSEMBLY)
#define EDGE_HELIUM ((__ARM_FEATURE_MVE & 2) != 0) /* vectors of int8 and float32: Cortex-M55 and M85 */
#else
#define EDGE_HELIUM 0
#endif
#if EDGE_HELIUM
#include <arm_mve.h>
#endif

#if defined(__ARM_NEON) && defined(__aarch64__) && !defined(__ARM_BIG_ENDIAN) && !EDGE_DSP && \
    !defined(EDGE_PORTABLE) && (EDGE_FLOAT || defined(EDGE_FIXED))
#define EDGE_NEON 1 /* 64-bit Arm */
#include <arm_neon.h>
#else
#define EDGE_NEON 0
#endif

/* A function that is assembly from its first to its last instruction, of which the compiler assumes nothing. */
#if defined(__clang__)
#define EDGE_NAKED __attribute__((naked, noinline))
#elif defined(EDGE_ASSEMBLY)
#define EDGE_NAKED __attribute__((naked, noipa))
#endif

#if defined(__GNUC__)
#define EDGE_ALIGNED __attribute__((aligned(4)))
#define EDGE_UNUSED __attribute__((unused))
#define EDGE_NOINLINE __attribute__((noinline))
#else
#define EDGE_ALIGNED
#define EDGE_NOINLINE
#endif

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wunused-function" /* a model needs only some of the inline functions */
#endif

#if EDGE_DSP || EDGE_NEON
typedef uint32_t __attribute__((may_alias)) edge_word_t;

/* Four bytes from any address: these processors load words unaligned. */
static inline uint32_t edge_load(const int8_t *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, 4);
    return v;
}
#endif

static inline int8_t edge_clamp(int32_t v)
{
    return (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
}

static inline int32_t edge_least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t edge_most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}
