/* Input and output within the arena: 0 if the answer is the same as outside. */
#include "edgedistill_in.h"
#include <string.h>

int main(void)
{
    static int32_t words[EDGEDISTILL_IN_ARENA_BYTES / 4];
    int8_t *const arena = (int8_t *)(void *)words;
    int8_t *const input = arena + EDGEDISTILL_IN_INPUT_OFFSET;
    int8_t *const output = arena + EDGEDISTILL_IN_OUTPUT_OFFSET;
    int8_t x[EDGEDISTILL_IN_INPUT_BYTES];
    int8_t y[EDGEDISTILL_IN_OUTPUT_BYTES];
    unsigned i;
    for (i = 0; i < sizeof x; i++) {
        x[i] = (int8_t)((int)((i * 7u) % 251u) - 125);
    }
    if (edgedistill_in_invoke(x, y, arena) != 0) {
        return 2;
    }
    memcpy(input, x, sizeof x);
    if (edgedistill_in_invoke(input, output, arena) != 0) {
        return 3;
    }
    return memcmp(y, output, sizeof y) != 0;
}
