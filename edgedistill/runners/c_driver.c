/* Runs a model on every input of one file and writes the outputs to another. */
#include "model_under_test.h"
#include <stdio.h>
#include <string.h>

static int32_t arena[(ARENA_BYTES + 3) / 4];
static int8_t input[INPUT_BYTES];
static int8_t output[OUTPUT_BYTES];

int main(int argc, char **argv)
{
    FILE *from, *to;
    if (argc != 3 || (from = fopen(argv[1], "rb")) == NULL || (to = fopen(argv[2], "wb")) == NULL) {
        return 2;
    }
    while (fread(input, 1, sizeof input, from) == sizeof input) {
        memset(arena, 0x5A, sizeof arena); /* what a call leaves behind must not matter */
        if (INVOKE(input, output, arena) != 0 || fwrite(output, 1, sizeof output, to) != sizeof output) {
            return 3;
        }
    }
    return fclose(to) == 0 ? 0 : 4;
}
