/* Runs a model on the inputs of this image and says by semihosting what it answered and what it took. */
#include "model_under_test.h"
#include <stddef.h>
#include <stdint.h>

/* BOARD_FPGAIO: a counter that advances with QEMU's instruction count */
#define FPGAIO ((uint32_t)BOARD_FPGAIO)
#define COUNTER (*(volatile uint32_t *)(FPGAIO + 0x18u))
#define PRESCALE (*(volatile uint32_t *)(FPGAIO + 0x1Cu))
#define PAINT 0xA5A5A5A5u
#define PAINTED_WORDS 4096
#define TURNS 100000 /* of a loop of two instructions, which checks the counter */
#define ROW 32       /* bytes per line of output */

extern const int8_t inputs[], inputs_end[];
extern uint32_t _bss_end;
void finish(int code);

static uint32_t arena[(ARENA_BYTES + 3) / 4];
static int8_t output[OUTPUT_BYTES];

static int semihosting(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void finish(int code)
{
    const uint32_t block[2] = {0x20026u, (uint32_t)code}; /* ADP_Stopped_ApplicationExit */
    (void)semihosting(0x20, block);                       /* SYS_EXIT_EXTENDED */
    for (;;) {
    }
}

static void say(const char *text)
{
    (void)semihosting(0x04, text); /* SYS_WRITE0 */
}

static void hexadecimal(char *text, uint32_t value, int digits)
{
    int i;
    for (i = 0; i < digits; i++) {
        text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15u];
    }
    text[digits] = '\0';
}

static void line(const char *name, uint32_t value)
{
    char text[9];
    hexadecimal(text, value, 8);
    say(name);
    say(" ");
    say(text);
    say("\n");
}

static void say_output(void)
{
    char text[2 * ROW + 1];
    int i, k;
    for (i = 0; i < OUTPUT_BYTES; i += ROW) {
        for (k = 0; k < ROW && i + k < OUTPUT_BYTES; k++) {
            hexadecimal(text + 2 * k, (uint8_t)output[i + k], 2);
        }
        say(i == 0 ? "output " : "more ");
        say(text);
        say("\n");
    }
}

static __attribute__((noinline)) uint32_t *stack_pointer(void)
{
    uint32_t *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

/* Ticks of one inference, always by the same instructions. Sets *refused where the model says so. */
static __attribute__((noinline)) uint32_t timed(const int8_t *input, int *refused)
{
    const uint32_t start = COUNTER;
    const int code = INVOKE(input, output, arena);
    const uint32_t end = COUNTER;
    *refused |= code;
    return end - start;
}

int main(void)
{
    uint32_t *const top = stack_pointer() - 16;
    uint32_t *const bottom = top - &_bss_end > PAINTED_WORDS ? top - PAINTED_WORDS : &_bss_end;
    const int8_t *input;
    uint32_t *p;
    uint32_t start, spent, turns = TURNS;
    int refused = 0;
    PRESCALE = 0;
    for (p = bottom; p < top; p++) {
        *(volatile uint32_t *)p = PAINT;
    }
    start = COUNTER;
    spent = COUNTER - start;
    line("overhead", spent);
    start = COUNTER;
    __asm__ volatile(".syntax unified\n1:\tsubs %0, %0, #1\n\tbne 1b" : "+l"(turns) : : "cc");
    spent = COUNTER - start;
    line("loop", spent);
    line("arena", ARENA_BYTES);
    for (input = inputs; input < inputs_end; input += INPUT_BYTES) {
        spent = timed(input, &refused);
        if (input == inputs) {
            for (p = bottom; p < top && *(volatile uint32_t *)p == PAINT; p++) {
            }
            if (p == bottom) {
                return 2;
            }
            line("stack", (uint32_t)((char *)(top + 16) - (char *)p));
            line("first", spent);
            spent = timed(input, &refused);
        }
        if (refused) {
            return 1;
        }
        line("ticks", spent);
        say_output();
    }
    return 0;
}
