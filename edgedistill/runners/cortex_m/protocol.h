/* The serial protocol of MLPerf Tiny around one model: three functions that a board supplies, one that it calls. */
#ifndef EDGEDISTILL_PROTOCOL_H
#define EDGEDISTILL_PROTOCOL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Supplied by the board: sends one byte, waiting until it can. */
void edgedistill_board_put(char byte);

/* Supplied by the board: waits for one byte and returns it as 0 to 255; less than 0 ends edgedistill_protocol_run. */
int edgedistill_board_get(void);

/* Supplied by the board: a clock in microseconds that begins again after 2^32. It is read right before the first
   and right after the last of the inferences that are timed, and at no other time but for the command timestamp. */
uint32_t edgedistill_board_microseconds(void);

/* Answers commands until edgedistill_board_get ends it. Call it once line and clock are set up. */
void edgedistill_protocol_run(void);

#ifdef __cplusplus
}
#endif

#endif
