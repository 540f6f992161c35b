/* Runs a model on inputs from flash and says by semihosting what it answered and what it took. */
#include "model_under_test.h"
#include <stddef.h>
#include <stdint.h>

/* BOARD_FPGAIO: a counter that advances with QEMU's instruction count */
#define FPGAIO ((uint32_t)BOARD_FPGAIO)
#define COUNTER (*(volatile uint32_t *)(FPGAIO + 0x18u))
#define PRESCALE (*(volatile uint32_t *)(FPGAIO + 0x1Cu))
#define PAINT 0xA5A5A5A5u
#define PAINTED_WORDS 4096

extern const int8_t inputs[COUNT * INPUT_BYTES];
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

static void hexadecimal(uint32_t value, int digits)
{
    char text[10];
    int i;
    for (i = 0; i < digits; i++) {
        text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15u];
    }
    text[digits] = '\0';
    say(text);
}

static void line(const char *name, uint32_t value)
{
    say(name);
    say(" ");
    hexadecimal(value, 8);
    say("\n");
}

static __attribute__((noinline)) uint32_t *stack_pointer(void)
{
    uint32_t *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

int main(void)
{
    uint32_t *const top = stack_pointer() - 16;
    uint32_t *p;
    uint32_t start, spent;
    int i, k;
    PRESCALE = 0;
    for (p = top - PAINTED_WORDS; p < top; p++) {
        *(volatile uint32_t *)p = PAINT;
    }
    start = COUNTER;
    spent = COUNTER - start;
    line("overhead", spent);
    for (i = 0; i < COUNT; i++) {
        start = COUNTER;
        if (INVOKE(inputs + i * INPUT_BYTES, output, arena) != 0) {
            return 1;
        }
        spent = COUNTER - start;
        for (p = top - PAINTED_WORDS; p < top && *(volatile uint32_t *)p == PAINT; p++) {
        }
        if (i == 0) {
            line("stack", (uint32_t)((char *)(top + 16) - (char *)p));
        }
        line("ticks", spent);
        say("output ");
        for (k = 0; k < OUTPUT_BYTES; k++) {
            hexadecimal((uint8_t)output[k], 2);
        }
        say("\n");
    }
    return 0;
}
