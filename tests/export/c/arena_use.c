/* Prints where the last byte that an inference touches ends: input and output lie in the arena, a guard behind it. */
#include "edgedistill_use.h"
#include <stdio.h>
#include <string.h>

#define GUARD_BYTES 256

static int32_t words[(EDGEDISTILL_USE_ARENA_BYTES + GUARD_BYTES + 3) / 4];
static unsigned char touched[EDGEDISTILL_USE_ARENA_BYTES + GUARD_BYTES];

int main(void)
{
    static const unsigned char paints[] = {0x5A, 0xA5};
    unsigned char *const arena = (unsigned char *)words;
    int8_t *const input = (int8_t *)arena + EDGEDISTILL_USE_INPUT_OFFSET;
    int8_t *const output = (int8_t *)arena + EDGEDISTILL_USE_OUTPUT_OFFSET;
    unsigned i, paint, end = 0;
    for (paint = 0; paint < sizeof paints; paint++) {
        memset(arena, paints[paint], sizeof touched);
        for (i = 0; i < EDGEDISTILL_USE_INPUT_BYTES; i++) {
            input[i] = (int8_t)((int)((i * 7u) % 251u) - 125);
        }
        if (edgedistill_use_invoke(input, output, arena) != 0) {
            return 2;
        }
        for (i = 0; i < sizeof touched; i++) {
            touched[i] |= arena[i] != paints[paint];
        }
    }
    for (i = 0; i < sizeof touched; i++) {
        end = touched[i] ? i + 1 : end;
    }
    printf("%u\n", end);
    return 0;
}
