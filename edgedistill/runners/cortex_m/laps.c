/* Runs several models, one after the other, and says what each of their steps took. */
#include "laps.h"
#include "semihosting.h"
#include <stddef.h>
#include <stdint.h>

static uint32_t times[MOST_LAPS + 2];
static volatile uint32_t count;
static uint32_t arena[(ARENA_BYTES + 3) / 4];
static int8_t input[INPUT_BYTES], output[OUTPUT_BYTES];

void edge_lap(void);

__attribute__((noinline)) void edge_lap(void)
{
    times[count++] = COUNTER;
}

static __attribute__((noinline)) void nothing(void)
{
    edge_lap();
    edge_lap();
}

int main(void)
{
    uint32_t random = 2463534242u; /* Marsaglia 2003, "Xorshift RNGs" */
    uint32_t i, model;
    PRESCALE = 0;
    line("loop", loop_ticks());
    for (i = 0; i < INPUT_BYTES; i++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        input[i] = (int8_t)(random >> 24);
    }
    count = 0;
    nothing();
    line("overhead", times[1] - times[0]);
    for (model = 0; model < MODELS; model++) {
        count = 0;
        edge_lap();
        if (models[model](input, output, arena) != 0) {
            return 1;
        }
        edge_lap();
        line("model", model);
        for (i = 1; i < count; i++) {
            line("lap", times[i] - times[i - 1]);
        }
    }
    return 0;
}
