/* CONV_2D as a matrix product: two unfolded positions by two channels at a time. */

#if defined(EDGE_ASSEMBLY)
/* Four products of two positions (r0) and two channels (r1), into r4 to r7. */
#define EDGE_DOT_STEP                                       \
    "ldmia r0!, {r8, r9, r10, r11}\n\t"                     \
    "ldrd r12, lr, [r1], #8\n\t"                            \
    "sxtb16 r3, r12\n\t"                                    \
    "sxtb16 r12, r12, ror #8\n\t"                           \
    "smlad r4, r3, r8, r4\n\t"                              \
    "smlad r5, r3, r10, r5\n\t"                             \
    "smlad r4, r12, r9, r4\n\t"                             \
    "smlad r5, r12, r11, r5\n\t"                            \
    "sxtb16 r3, lr\n\t"                                     \
    "sxtb16 lr, lr, ror #8\n\t"                             \
    "smlad r6, r3, r8, r6\n\t"                              \
    "smlad r7, r3, r10, r7\n\t"                             \
    "smlad r6, lr, r9, r6\n\t"                              \
    "smlad r7, lr, r11, r7\n\t"

/* r2 products, a multiple of four */
#define EDGE_DOT                                                    \
    "subs r2, r2, #16\n\t"                                          \
    "blt 2f\n"                                                      \
    "1:\n\t" EDGE_DOT_STEP EDGE_DOT_STEP EDGE_DOT_STEP EDGE_DOT_STEP \
    "subs r2, r2, #16\n\t"                                          \
    "bge 1b\n"                                                      \
    "2:\n\t"                                                        \
    "adds r2, r2, #16\n\t"                                          \
    "beq 4f\n"                                                      \
    "3:\n\t" EDGE_DOT_STEP                                          \
    "subs r2, r2, #4\n\t"                                           \
    "bne 3b\n"                                                      \
    "4:\n\t"
#endif

#if defined(EDGE_ASSEMBLY) && EDGE_FLOAT
/* What edge_block works on, in the order in which it loads it. */
typedef struct {
    const edge_column_t *x;
    int32_t depth;
    const edge_channel_t *channel;
    int8_t *y0, *y1;
    int32_t zero, left;
} edge_block_t;

EDGE_NAKED static void edge_block(edge_block_t *block EDGE_UNUSED, const int8_t *w EDGE_UNUSED)
{
    __asm__("push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
            "5:\n\t"
            "ldr r12, [sp]\n\t"
            "ldmia r12, {r0, r2, r3}\n\t"      /* x, depth, channel */
            "ldmia r3!, {r4, r5, r6, r7}\n\t"  /* bias and scale, twice */
            "vmov s4, s5, r5, r7\n\t"
            "str r3, [r12, #8]\n\t"
            "mov r5, r4\n\t"
            "mov r7, r6\n\t" EDGE_DOT
            "vmov s0, s1, r4, r5\n\t"
            "vmov s2, s3, r6, r7\n\t"
            "ldr r12, [sp]\n\t"
            "vcvt.f32.s32 s0, s0\n\t"
            "vcvt.f32.s32 s1, s1\n\t"
            "vcvt.f32.s32 s2, s2\n\t"
            "vcvt.f32.s32 s3, s3\n\t"
            "vmul.f32 s0, s0, s4\n\t"
            "vmul.f32 s1, s1, s4\n\t"
            "vmul.f32 s2, s2, s5\n\t"
            "vmul.f32 s3, s3, s5\n\t"
            "vcvtr.s32.f32 s0, s0\n\t"
            "vcvtr.s32.f32 s1, s1\n\t"
            "vcvtr.s32.f32 s2, s2\n\t"
            "vcvtr.s32.f32 s3, s3\n\t"
            "ldrd r8, r9, [r12, #12]\n\t"      /* y0, y1 */
            "ldrd r10, r11, [r12, #20]\n\t"    /* zero, left */
            "vmov r4, r5, s0, s1\n\t"
            "vmov r6, r7, s2, s3\n\t"
            "qadd r4, r4, r10\n\t"
            "qadd r5, r5, r10\n\t"
            "qadd r6, r6, r10\n\t"
            "qadd r7, r7, r10\n\t"
            "ssat r4, #8, r4\n\t"
            "ssat r5, #8, r5\n\t"
            "ssat r6, #8, r6\n\t"
            "ssat r7, #8, r7\n\t"
            "strb r5, [r9], #1\n\t"
            "strb r4, [r8], #1\n\t"
            "subs r11, r11, #2\n\t"
            "blt 6f\n\t" /* the last channel stood alone */
            "strb r7, [r9], #1\n\t"
            "strb r6, [r8], #1\n\t"
            "strd r8, r9, [r12, #12]\n\t"
            "str r11, [r12, #24]\n\t"
            "bne 5b\n"
            "6:\n\t"
            "pop {r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}");
}
#elif defined(EDGE_ASSEMBLY)
EDGE_NAKED static void edge_dot(const edge_column_t *x EDGE_UNUSED, const int8_t *w EDGE_UNUSED,
                                int32_t depth EDGE_UNUSED, int32_t *acc EDGE_UNUSED)
{
    __asm__("push {r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
            "ldmia r3, {r4, r5, r6, r7}\n\t" EDGE_DOT
            "ldr r3, [sp]\n\t"
            "stmia r3, {r4, r5, r6, r7}\n\t"
            "pop {r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}");
}
#elif EDGE_DSP
/* acc += two positions x two channels; acc is (first position, second position) of each channel in turn. */
static void edge_dot(const edge_column_t *x, const int8_t *w, int32_t depth, int32_t *acc)
{
    for (; depth > 0; depth -= 4) {
        const uint32_t a = edge_load(w);
        const uint32_t b = edge_load(w + 4);
        acc[0] = edge_smlad(edge_odd(a), x[1], edge_smlad(edge_even(a), x[0], acc[0]));
        acc[1] = edge_smlad(edge_odd(a), x[3], edge_smlad(edge_even(a), x[2], acc[1]));
        acc[2] = edge_smlad(edge_odd(b), x[1], edge_smlad(edge_even(b), x[0], acc[2]));
        acc[3] = edge_smlad(edge_odd(b), x[3], edge_smlad(edge_even(b), x[2], acc[3]));
        x += 4;
        w += 8;
    }
}
#else
static void edge_dot(const edge_column_t *x, const int8_t *w, int32_t depth, int32_t *acc)
{
    const int8_t *const second = x + depth;
    int32_t a0 = acc[0], a1 = acc[1], b0 = acc[2], b1 = acc[3];
    int32_t k, i;
    for (k = 0; k < depth; k += 4) {
        for (i = k; i < k + 4; i++) {
            a0 += x[i] * w[0];
            a1 += second[i] * w[0];
            b0 += x[i] * w[4];
            b1 += second[i] * w[4];
            w++;
        }
        w += 4;
    }
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = b0;
    acc[3] = b1;
}
#endif

/* All channels of the two positions in scratch; y1 may be y0, which then keeps the first. */
static EDGE_NOINLINE void edge_outputs(const edge_conv_t *c, const int8_t *scratch, int8_t *y0, int8_t *y1)
{
    const edge_column_t *const x = (const edge_column_t *)(const void *)scratch;
#if defined(EDGE_ASSEMBLY) && EDGE_FLOAT
    edge_block_t block;
    block.x = x;
    block.depth = c->depth;
    block.channel = c->channels;
    block.y0 = y0;
    block.y1 = y1;
    block.zero = c->out_zero;
    block.left = c->out_channels;
    edge_block(&block, c->weights);
#else
    const edge_channel_t *channel = c->channels;
    const int8_t *w = c->weights;
    const int32_t zero = c->out_zero;
    int32_t left;
    for (left = c->out_channels; left > 0; left -= 2) {
        int32_t acc[4];
        acc[0] = acc[1] = channel[0].bias;
        acc[2] = acc[3] = channel[1].bias;
        edge_dot(x, w, c->depth, acc);
        w += 2 * c->depth;
        y1[0] = edge_requantise(acc[1], channel[0].scale, zero);
        y0[0] = edge_requantise(acc[0], channel[0].scale, zero);
        if (left > 1) {
            y1[1] = edge_requantise(acc[3], channel[1].scale, zero);
            y0[1] = edge_requantise(acc[2], channel[1].scale, zero);
        }
        y0 += 2;
        y1 += 2;
        channel += 2;
    }
#endif
}
