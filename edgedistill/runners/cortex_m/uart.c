/* The serial protocol on QEMU's Arm boards: the CMSDK UART, and the FPGA's counter as the clock. */
#include "model_under_test.h"
#include "protocol.h"

#define UART_DATA (*(volatile uint32_t *)(BOARD_UART + 0x00u))
#define UART_STATE (*(volatile uint32_t *)(BOARD_UART + 0x04u)) /* 1: cannot send yet, 2: has received */
#define UART_CONTROL (*(volatile uint32_t *)(BOARD_UART + 0x08u))
#define UART_DIVIDER (*(volatile uint32_t *)(BOARD_UART + 0x10u))
#define COUNTER (*(volatile uint32_t *)(BOARD_FPGAIO + 0x18u))
#define PRESCALE (*(volatile uint32_t *)(BOARD_FPGAIO + 0x1Cu))

void finish(int code);
int main(void);

void finish(int code) /* what startup.c calls at the end, and after a fault */
{
    (void)code;
    for (;;) {
    }
}

void edgedistill_board_put(char byte)
{
    while ((UART_STATE & 1u) != 0u) {
    }
    UART_DATA = (uint8_t)byte;
}

int edgedistill_board_get(void)
{
    while ((UART_STATE & 2u) == 0u) {
    }
    return (int)(UART_DATA & 0xFFu);
}

uint32_t edgedistill_board_microseconds(void)
{
    return COUNTER;
}

int main(void)
{
    UART_DIVIDER = BOARD_HZ / 115200u;
    UART_CONTROL = 3u; /* send and receive */
    PRESCALE = BOARD_HZ / 1000000u - 1u;
    edgedistill_protocol_run();
    return 0;
}
