/* Runs a model often on one input and prints the nanoseconds of each run; its peak memory, where Linux knows it, to stderr. */
#define _POSIX_C_SOURCE 199309L
#include "model_under_test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int32_t arena[(ARENA_BYTES + 3) / 4];
static int8_t input[INPUT_BYTES];
static int8_t output[OUTPUT_BYTES];

int main(int argc, char **argv)
{
    struct timespec start, end;
    FILE *from;
    char line[256];
    long i, warmup, runs;
    if (argc != 4 || (from = fopen(argv[1], "rb")) == NULL || fread(input, 1, sizeof input, from) != sizeof input) {
        return 2;
    }
    warmup = atol(argv[2]);
    runs = atol(argv[3]);
    for (i = -warmup; i < runs; i++) {
        clock_gettime(CLOCK_MONOTONIC, &start);
        if (INVOKE(input, output, arena) != 0) {
            return 3;
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        if (i >= 0) {
            printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec));
        }
    }
    if ((from = fopen("/proc/self/status", "r")) != NULL) {
        while (fgets(line, sizeof line, from) != NULL) {
            if (strncmp(line, "VmHWM:", 6) == 0) {
                fputs(line, stderr);
            }
        }
    }
    return 0;
}
