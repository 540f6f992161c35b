/* CONV_2D as a matrix product, in DSP instructions or plain C: a few unfolded positions by two channels at a time. */

#if !EDGE_HELIUM && !EDGE_NEON
/* What the products of a tile work on; assembly knows the order of the fields. */
typedef struct {
    const edge_column_t *x;
    const edge_column_t *whole; /* where the last sixteen products together end */
    const edge_column_t *end;
    const edge_channel_t *channel;
    int8_t *y[EDGE_POSITIONS];
    int32_t zero, left; /* the output's zero point, channels to come */
} edge_tile_t;

#if defined(EDGE_ASSEMBLY) && EDGE_WORDS
/* Four products of three positions (columns at r0) and two channels (weights at r1): the first channel's sums
   are r4 to r6, the second's r7 to r9. */
#define EDGE_DOT_STEP                \
    "ldmia r0!, {r10, r11, r12}\n\t" \
    "ldrd r2, r3, [r1], #8\n\t"      \
    "sxtb16 lr, r2\n\t"              \
    "smlad r4, lr, r10, r4\n\t"      \
    "smlad r5, lr, r11, r5\n\t"      \
    "smlad r6, lr, r12, r6\n\t"      \
    "sxtb16 lr, r3\n\t"              \
    "smlad r7, lr, r10, r7\n\t"      \
    "smlad r8, lr, r11, r8\n\t"      \
    "smlad r9, lr, r12, r9\n\t"      \
    "ldmia r0!, {r10, r11, r12}\n\t" \
    "sxtb16 lr, r2, ror #8\n\t"      \
    "smlad r4, lr, r10, r4\n\t"      \
    "smlad r5, lr, r11, r5\n\t"      \
    "smlad r6, lr, r12, r6\n\t"      \
    "sxtb16 lr, r3, ror #8\n\t"      \
    "smlad r7, lr, r10, r7\n\t"      \
    "smlad r8, lr, r11, r8\n\t"      \
    "smlad r9, lr, r12, r9\n\t"

/* All products; sp + 4 and sp + 8 hold the tile's whole and end. */
#define EDGE_DOT                                            \
    "ldr r2, [sp, #4]\n\t"                                  \
    "cmp r0, r2\n\t"                                        \
    "bhs 2f\n\t"                                            \
    "1:\n"                                                  \
    EDGE_DOT_STEP EDGE_DOT_STEP EDGE_DOT_STEP EDGE_DOT_STEP \
    "ldr r2, [sp, #4]\n\t"                                  \
    "cmp r0, r2\n\t"                                        \
    "blo 1b\n\t"                                            \
    "2:\n"                                                  \
    "ldr r2, [sp, #8]\n\t"                                  \
    "cmp r0, r2\n\t"                                        \
    "bhs 4f\n\t"                                            \
    "3:\n"                                                  \
    EDGE_DOT_STEP                                           \
    "ldr r2, [sp, #8]\n\t"                                  \
    "cmp r0, r2\n\t"                                        \
    "blo 3b\n\t"                                            \
    "4:\n"

#if EDGE_FLOAT
/* All channels of a tile, requantised and stored. */
EDGE_NAKED static void edge_block(edge_tile_t *tile EDGE_UNUSED, const int8_t *w EDGE_UNUSED)
{
    __asm__("push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
            "sub sp, sp, #12\n\t"
            "str r0, [sp]\n\t"
            "ldrd r2, r3, [r0, #4]\n\t"
            "strd r2, r3, [sp, #4]\n\t"
            "5:\n"
            "ldr r12, [sp]\n\t"
            "ldr r0, [r12]\n\t"
            "ldr r3, [r12, #12]\n\t"
            "ldmia r3!, {r4, r5, r6, r7}\n\t"
            "str r3, [r12, #12]\n\t"
            "vmov s8, s9, r5, r7\n\t"
            "mov r7, r6\n\t"
            "mov r8, r6\n\t"
            "mov r9, r6\n\t"
            "mov r5, r4\n\t"
            "mov r6, r4\n\t"
            EDGE_DOT
            "vmov s0, s1, r4, r5\n\t"
            "vmov s2, s3, r6, r7\n\t"
            "vmov s4, s5, r8, r9\n\t"
            "ldr r12, [sp]\n\t"
            "vcvt.f32.s32 s0, s0\n\t"
            "vcvt.f32.s32 s1, s1\n\t"
            "vcvt.f32.s32 s2, s2\n\t"
            "vcvt.f32.s32 s3, s3\n\t"
            "vcvt.f32.s32 s4, s4\n\t"
            "vcvt.f32.s32 s5, s5\n\t"
            "vmul.f32 s0, s0, s8\n\t"
            "vmul.f32 s1, s1, s8\n\t"
            "vmul.f32 s2, s2, s8\n\t"
            "vmul.f32 s3, s3, s9\n\t"
            "vmul.f32 s4, s4, s9\n\t"
            "vmul.f32 s5, s5, s9\n\t"
            "vcvtr.s32.f32 s0, s0\n\t"
            "vcvtr.s32.f32 s1, s1\n\t"
            "vcvtr.s32.f32 s2, s2\n\t"
            "vcvtr.s32.f32 s3, s3\n\t"
            "vcvtr.s32.f32 s4, s4\n\t"
            "vcvtr.s32.f32 s5, s5\n\t"
            "add r12, r12, #16\n\t"
            "ldmia r12, {r0, r2, r3, r10, r11}\n\t"
            "vmov r4, r5, s0, s1\n\t"
            "vmov r6, r7, s2, s3\n\t"
            "vmov r8, r9, s4, s5\n\t"
            "qadd r4, r4, r10\n\t"
            "qadd r5, r5, r10\n\t"
            "qadd r6, r6, r10\n\t"
            "qadd r7, r7, r10\n\t"
            "qadd r8, r8, r10\n\t"
            "qadd r9, r9, r10\n\t"
            "ssat r4, #8, r4\n\t"
            "ssat r5, #8, r5\n\t"
            "ssat r6, #8, r6\n\t"
            "ssat r7, #8, r7\n\t"
            "ssat r8, #8, r8\n\t"
            "ssat r9, #8, r9\n\t"
            "strb r6, [r3], #1\n\t"
            "strb r5, [r2], #1\n\t"
            "strb r4, [r0], #1\n\t"
            "subs r11, r11, #2\n\t"
            "blt 6f\n\t"
            "strb r9, [r3], #1\n\t"
            "strb r8, [r2], #1\n\t"
            "strb r7, [r0], #1\n\t"
            "stmia r12, {r0, r2, r3, r10, r11}\n\t"
            "bne 5b\n\t"
            "6:\n"
            "add sp, sp, #12\n\t"
            "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n\t");
}
#else
/* acc += the products of two channels: all positions of the first, then of the second. */
EDGE_NAKED static void edge_dot(const edge_tile_t *tile EDGE_UNUSED, const int8_t *w EDGE_UNUSED,
                                int32_t *acc EDGE_UNUSED)
{
    __asm__("push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
            "sub sp, sp, #12\n\t"
            "str r2, [sp]\n\t"
            "ldmia r2, {r4, r5, r6, r7, r8, r9}\n\t"
            "ldrd r2, r3, [r0, #4]\n\t"
            "strd r2, r3, [sp, #4]\n\t"
            "ldr r0, [r0]\n\t"
            EDGE_DOT
            "ldr r2, [sp]\n\t"
            "stmia r2, {r4, r5, r6, r7, r8, r9}\n\t"
            "add sp, sp, #12\n\t"
            "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n\t");
}
#endif
#elif EDGE_WORDS
/* acc += the products of two channels: all positions of the first, then of the second. */
static void edge_dot(const edge_tile_t *tile, const int8_t *w, int32_t *acc)
{
    const edge_column_t *x;
    int32_t i;
    for (x = tile->x; x < tile->end; x += 2 * EDGE_POSITIONS) {
        const uint32_t a = edge_load(w);
        const uint32_t b = edge_load(w + 4);
        for (i = 0; i < EDGE_POSITIONS; i++) {
            const uint32_t even = x[i];
            const uint32_t odd = x[i + EDGE_POSITIONS];
            int32_t *const second = acc + EDGE_POSITIONS;
            acc[i] = edge_smlad(edge_odd(a), odd, edge_smlad(edge_even(a), even, acc[i]));
            second[i] = edge_smlad(edge_odd(b), odd, edge_smlad(edge_even(b), even, second[i]));
        }
        w += 8;
    }
}
#else
static void edge_dot(const edge_tile_t *tile, const int8_t *w, int32_t *acc)
{
    const int8_t *x = tile->x;
    const int8_t *second = tile->end;
    int32_t a0 = acc[0], a1 = acc[1], b0 = acc[2], b1 = acc[3];
    int32_t i;
    while (x < tile->end) {
        for (i = 0; i < 4; i++) {
            a0 += x[i] * w[i];
            a1 += second[i] * w[i];
            b0 += x[i] * w[i + 4];
            b1 += second[i] * w[i + 4];
        }
        x += 4;
        second += 4;
        w += 8;
    }
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = b0;
    acc[3] = b1;
}
#endif

/* All channels of the positions in scratch, count of which exist; their outputs follow each other at y. */
static EDGE_NOINLINE void edge_outputs(const edge_conv_t *c, const int8_t *scratch, int8_t *y, int32_t count)
{
    const int32_t words = EDGE_WORDS ? EDGE_POSITIONS : 2; /* of a column, per two products */
    edge_tile_t tile;
    int32_t i;
    tile.x = (const edge_column_t *)(const void *)scratch;
    tile.whole = tile.x + (c->depth & ~15) * words / 2;
    tile.end = tile.x + c->depth * words / 2;
    tile.channel = c->channels;
    tile.zero = c->out_zero;
    tile.left = c->out_channels;
    for (i = 0; i < EDGE_POSITIONS; i++) { /* what does not exist lies under the first, which is stored last */
        tile.y[i] = i < count ? y + i * c->out_channels : y;
    }
#if defined(EDGE_ASSEMBLY) && EDGE_FLOAT && EDGE_WORDS
    edge_block(&tile, c->weights);
#else
    {
        const int8_t *w = c->weights;
        for (; tile.left > 0; tile.left -= 2) {
            int32_t acc[2 * EDGE_POSITIONS];
            int32_t channel;
            for (i = 0; i < EDGE_POSITIONS; i++) {
                acc[i] = tile.channel[0].bias;
                acc[i + EDGE_POSITIONS] = tile.channel[1].bias;
            }
            edge_dot(&tile, w, acc);
            w += 2 * c->depth;
            for (channel = 0; channel < edge_least(tile.left, 2); channel++) {
                for (i = EDGE_POSITIONS - 1; i >= 0; i--) {
                    tile.y[i][channel] =
                        edge_requantise(acc[i + channel * EDGE_POSITIONS], tile.channel[channel].scale, tile.zero);
                }
            }
            for (i = 0; i < EDGE_POSITIONS; i++) {
                tile.y[i] += 2;
            }
            tile.channel += 2;
        }
    }
#endif
}
#endif
