/* Runs a model on every input of one file, writes the outputs to another, and then times it on the last input:
 * at least LEAST times and LEAST_MS, no longer than MOST_MS. The first KEPT times are printed. */
#define _POSIX_C_SOURCE 199309L
#include "model_under_test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int32_t arena[(ARENA_BYTES + 3) / 4];
static int8_t input[INPUT_BYTES];
static int8_t output[OUTPUT_BYTES];

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long peak_kb(void) /* the highest resident size so far (proc(5)); -1: the kernel does not say */
{
    char line[256];
    long kb = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kb = atol(line + 6);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kb;
}

int main(int argc, char **argv)
{
    FILE *from, *to;
    long long start, end, begun, elapsed = 0, *times;
    long i, runs = 0, before = peak_kb();
    if (argc != 8 || (from = fopen(argv[1], "rb")) == NULL || (to = fopen(argv[2], "wb")) == NULL) {
        return 2;
    }
    const long warmup = atol(argv[3]), least = atol(argv[4]), kept = atol(argv[5]);
    const long long least_ns = atoll(argv[6]) * 1000000LL, most_ns = atoll(argv[7]) * 1000000LL;
    begun = now_ns();
    while (fread(input, 1, sizeof input, from) == sizeof input) {
        memset(arena, 0x5A, sizeof arena); /* what a call leaves behind must not matter */
        if (INVOKE(input, output, arena) != 0 || fwrite(output, 1, sizeof output, to) != sizeof output) {
            return 3;
        }
    }
    if (fclose(to) != 0) {
        return 4; /* a full disk is told here at the latest */
    }
    printf("peak_kb %ld %ld\n", before, peak_kb());
    if ((times = malloc((kept + 1) * sizeof *times)) == NULL) {
        return 5;
    }
    for (i = 0; i < warmup && now_ns() - begun < most_ns; i++) {
        INVOKE(input, output, arena);
    }
    start = now_ns();
    while ((runs < least || elapsed < least_ns) && elapsed < most_ns) {
        const long long one = now_ns();
        if (INVOKE(input, output, arena) != 0) {
            return 3;
        }
        end = now_ns();
        if (runs < kept) {
            times[runs] = end - one;
        }
        runs++;
        elapsed = end - start;
    }
    for (i = 0; i < runs && i < kept; i++) {
        printf("us %lld.%03lld\n", times[i] / 1000, times[i] % 1000);
    }
    printf("runs %ld ns %lld\n", runs, elapsed);
    return fflush(stdout) == 0 ? 0 : 4;
}
