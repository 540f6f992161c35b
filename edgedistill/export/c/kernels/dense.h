/* FULLY_CONNECTED, and CONV_2D with a single output position: four channels at a time. */

typedef struct {
    const int8_t *weights; /* per four channels: four of the first, four of the second, ...; then single rows */
    const int32_t *biases; /* the input's zero point folded in */
    const edge_scale_t *scales; /* one per channel, or one for all */
    int32_t scale_step; /* from a channel's multiplier to the next: 1 or 0 */
    int32_t in_count, out_count;
    int32_t out_zero;
} edge_dense_t;

/* acc += four channels, of depth products each, a multiple of four. */
#if EDGE_HELIUM
static inline void edge_dense_four(const int8_t *x, const int8_t *w, int32_t depth, int32_t *acc)
{
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    const uint32_t rest = (uint32_t)depth & 15u;
    uint32_t n;
    if (rest != 0u) { /* first, what is no whole vector: the weights that follow meet zeros */
        const int32x4x4_t four = vld4q_s32((const int32_t *)(const void *)w);
        const int8x16_t v = vldrbq_z_s8(x, vctp8q(rest));
        a = vmladavaq_s8(a, v, vreinterpretq_s8_s32(four.val[0]));
        b = vmladavaq_s8(b, v, vreinterpretq_s8_s32(four.val[1]));
        c = vmladavaq_s8(c, v, vreinterpretq_s8_s32(four.val[2]));
        d = vmladavaq_s8(d, v, vreinterpretq_s8_s32(four.val[3]));
        x += rest;
        w = edge_further(w, 4u * rest);
    }
    for (n = (uint32_t)depth / 16u; n > 0u; n--) {
        const int32x4x4_t four = vld4q_s32((const int32_t *)(const void *)w);
        const int8x16_t v = vldrbq_s8(x);
        a = vmladavaq_s8(a, v, vreinterpretq_s8_s32(four.val[0]));
        b = vmladavaq_s8(b, v, vreinterpretq_s8_s32(four.val[1]));
        c = vmladavaq_s8(c, v, vreinterpretq_s8_s32(four.val[2]));
        d = vmladavaq_s8(d, v, vreinterpretq_s8_s32(four.val[3]));
        x += 16;
        w += 64;
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}
#elif EDGE_NEON
#if defined(__ARM_FEATURE_DOTPROD)
#define EDGE_DOT_LANE(acc, w, x, lane) vdotq_laneq_s32(acc, w, x, lane)
#else
#define EDGE_DOT_LANE(acc, w, x, lane) \
    edge_dot_fours(acc, vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(x), lane)), w)
#endif

static inline void edge_dense_four(const int8_t *x, const int8_t *w, int32_t depth, int32_t *acc)
{
    int32x4_t sum = vld1q_s32(acc), other = vdupq_n_s32(0); /* two, so that one waits less for the other */
    for (; depth >= 16; depth -= 16) {
        const int8x16_t v = vld1q_s8(x);
        sum = EDGE_DOT_LANE(sum, vld1q_s8(w), v, 0);
        other = EDGE_DOT_LANE(other, vld1q_s8(w + 16), v, 1);
        sum = EDGE_DOT_LANE(sum, vld1q_s8(w + 32), v, 2);
        other = EDGE_DOT_LANE(other, vld1q_s8(w + 48), v, 3);
        x += 16;
        w += 64;
    }
    for (; depth > 0; depth -= 4) {
        sum = edge_dot_fours(sum, edge_repeated(x), vld1q_s8(w));
        x += 4;
        w += 16;
    }
    vst1q_s32(acc, vaddq_s32(sum, other));
}
#elif defined(EDGE_ASSEMBLY)
#define EDGE_DENSE_PART(acc, w)                 \
    "sxtb16 r3, " w "\n\t"                      \
    "smlad " acc ", r3, r12, " acc "\n\t"       \
    "sxtb16 r3, " w ", ror #8\n\t"              \
    "smlad " acc ", r3, lr, " acc "\n\t"
#define EDGE_DENSE_STEP                         \
    "ldr r12, [r0], #4\n\t"                     \
    "ldmia r1!, {r8, r9, r10, r11}\n\t"         \
    "sxtb16 lr, r12, ror #8\n\t"                \
    "sxtb16 r12, r12\n\t"                       \
    EDGE_DENSE_PART("r4", "r8")                 \
    EDGE_DENSE_PART("r5", "r9")                 \
    EDGE_DENSE_PART("r6", "r10")                \
    EDGE_DENSE_PART("r7", "r11")

EDGE_NAKED static void edge_dense_four(const int8_t *x EDGE_UNUSED, const int8_t *w EDGE_UNUSED,
                                       int32_t depth EDGE_UNUSED, int32_t *acc EDGE_UNUSED)
{
    __asm__("push {r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
            "ldmia r3, {r4, r5, r6, r7}\n\t"
            "subs r2, r2, #8\n\t"
            "blt 2f\n"
            "1:\n\t" EDGE_DENSE_STEP EDGE_DENSE_STEP
            "subs r2, r2, #8\n\t"
            "bge 1b\n"
            "2:\n\t"
            "adds r2, r2, #8\n\t"
            "beq 3f\n\t" EDGE_DENSE_STEP
            "3:\n\t"
            "ldr r3, [sp]\n\t"
            "stmia r3, {r4, r5, r6, r7}\n\t"
            "pop {r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}");
}
#elif EDGE_DSP
static void edge_dense_four(const int8_t *x, const int8_t *w, int32_t depth, int32_t *acc)
{
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    for (; depth > 0; depth -= 4) {
        const edge_word_t *const words = (const edge_word_t *)(const void *)w;
        const uint32_t v = edge_load(x);
        const uint32_t even = edge_even(v);
        const uint32_t odd = edge_odd(v);
        a = edge_smlad(edge_odd(words[0]), odd, edge_smlad(edge_even(words[0]), even, a));
        b = edge_smlad(edge_odd(words[1]), odd, edge_smlad(edge_even(words[1]), even, b));
        c = edge_smlad(edge_odd(words[2]), odd, edge_smlad(edge_even(words[2]), even, c));
        d = edge_smlad(edge_odd(words[3]), odd, edge_smlad(edge_even(words[3]), even, d));
        x += 4;
        w += 16;
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}
#else
static void edge_dense_four(const int8_t *x, const int8_t *w, int32_t depth, int32_t *acc)
{
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    int32_t i;
    for (; depth > 0; depth -= 4) {
        for (i = 0; i < 4; i++) {
            a += x[i] * w[i];
            b += x[i] * w[i + 4];
            c += x[i] * w[i + 8];
            d += x[i] * w[i + 12];
        }
        x += 4;
        w += 16;
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}
#endif

/* Four sums to int8. */
static inline void edge_requantise_four(const edge_dense_t *c, const int32_t *acc, const edge_scale_t *scale, int8_t *y)
{
#if EDGE_HELIUM
    const float32x4_t scales = c->scale_step == 0 ? vdupq_n_f32(*scale) : vldrwq_f32(scale);
    edge_store_four(y, edge_scale_four(vldrwq_s32(acc), scales, c->out_zero), vctp32q(4));
#elif EDGE_NEON
    const edge_scales_t scales = c->scale_step == 0 ? edge_same_scales(*scale) : edge_four_scales(scale);
    const int16x4_t v = vqmovn_s32(edge_scale_four(vld1q_s32(acc), scales, c->out_zero));
    edge_store(y, vget_lane_u32(vreinterpret_u32_s8(vqmovn_s16(vcombine_s16(v, v))), 0));
#else
    int32_t i;
    for (i = 0; i < 4; i++) {
        y[i] = edge_requantise(acc[i], *scale, c->out_zero);
        scale += c->scale_step;
    }
#endif
}

static void edge_dense(const edge_dense_t *c, const int8_t *x, int8_t *y)
{
    const int32_t whole = c->in_count & ~3;
    const int32_t *bias = c->biases;
    const edge_scale_t *scale = c->scales;
    const int8_t *w = c->weights;
    int32_t left = c->out_count;
    int32_t i, k;
    for (; left >= 4; left -= 4) {
        int32_t acc[4];
        for (i = 0; i < 4; i++) {
            acc[i] = bias[i];
        }
        edge_dense_four(x, w, whole, acc);
        w += 4 * whole;
        if (whole < c->in_count) {
            for (i = 0; i < 4; i++) {
                for (k = whole; k < c->in_count; k++) {
                    acc[i] += x[k] * *w++;
                }
            }
        }
        edge_requantise_four(c, acc, scale, y);
        bias += 4;
        scale += 4 * c->scale_step;
        y += 4;
    }
    for (; left > 0; left--) {
        int32_t acc = *bias++;
        k = 0;
#if EDGE_NEON
        {
            int32x4_t sum = vdupq_n_s32(0);
            for (; k + 16 <= c->in_count; k += 16) {
                sum = edge_dot_sixteen(sum, vld1q_s8(x + k), vld1q_s8(w));
                w += 16;
            }
            acc += vaddvq_s32(sum);
        }
#endif
        for (; k < c->in_count; k++) {
            acc += x[k] * *w++;
        }
        *y++ = edge_requantise(acc, *scale, c->out_zero);
        scale += c->scale_step;
    }
}
