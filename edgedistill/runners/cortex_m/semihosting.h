/* What firmware in an emulator says, and how it ends: Arm's semihosting calls, written once for all programs. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

/* BOARD_FPGAIO: a counter that advances with QEMU's instruction count */
#define FPGAIO ((uint32_t)BOARD_FPGAIO)
#define COUNTER (*(volatile uint32_t *)(FPGAIO + 0x18u))
#define PRESCALE (*(volatile uint32_t *)(FPGAIO + 0x1Cu))
#define TURNS 100000 /* of a loop of two instructions, which checks the counter */

void finish(int code);

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

/* Ticks of a loop of 2 * TURNS instructions. */
static uint32_t loop_ticks(void)
{
    uint32_t start, turns = TURNS;
    start = COUNTER;
    __asm__ volatile(".syntax unified\n1:\tsubs %0, %0, #1\n\tbne 1b" : "+l"(turns) : : "cc");
    return COUNTER - start;
}
#endif
