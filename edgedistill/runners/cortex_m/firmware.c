/* Runs a model on the inputs of this image and says by semihosting what it answered and what it took. */
#include "model_under_test.h"
#include "semihosting.h"
#include <stddef.h>
#include <stdint.h>

#define PAINT 0xA5A5A5A5u
#define PAINTED_WORDS 4096
#define ROW 32       /* bytes per line of output */

extern const int8_t inputs[], inputs_end[];
extern uint32_t _bss_end;

static uint32_t arena[(ARENA_BYTES + 3) / 4];
static int8_t output[OUTPUT_BYTES];

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
    uint32_t start, spent;
    int refused = 0;
    PRESCALE = 0;
    for (p = bottom; p < top; p++) {
        *(volatile uint32_t *)p = PAINT;
    }
    start = COUNTER;
    spent = COUNTER - start;
    line("overhead", spent);
    line("loop", loop_ticks());
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
