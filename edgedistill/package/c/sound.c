/* Step by step as edgedistill's package/preprocess.py: the middle second, mono, a polyphase low-pass, 16 bits. */
#include "sound.h"

#include <math.h>
#include <stdlib.h>

#define HALF_WIDTH 10
#define KAISER_BETA 5.0

static const double pi = 3.14159265358979323846;

static int64_t divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static double bessel_i0(double x)
{
    double term = 1.0, total = 1.0;
    int k;
    for (k = 1; k < 31; k++) {
        term = term * (x * x / 4.0) / ((double)k * k);
        total += term;
    }
    return total;
}

static void low_pass(double *taps, int64_t half, int64_t most, int64_t up)
{
    double total = 0.0;
    int64_t i;
    for (i = 0; i <= 2 * half; i++) {
        const double n = (double)(i - half);
        const double place = n / (double)half;
        const double inside = 1.0 - place * place;
        const double turn = pi * (n / (double)most);
        const double sinc = i == half ? 1.0 : sin(turn) / turn;
        taps[i] = sinc * bessel_i0(KAISER_BETA * sqrt(inside > 0.0 ? inside : 0.0));
        total += taps[i];
    }
    for (i = 0; i <= 2 * half; i++) {
        taps[i] *= (double)up / total;
    }
}

/* Output number m of the resampling. */
static double resampled(const double *mono, int64_t count, const double *taps, int64_t half, int64_t up,
                        int64_t down, int64_t m)
{
    const int64_t at = m * down;
    const int64_t above = half - at;
    int64_t n = above >= 0 ? -(above / up) : (-above + up - 1) / up; /* ceil((at - half) / up) */
    double total = 0.0;
    if (n < 0) {
        n = 0;
    }
    for (; n < count && half + at - n * up >= 0; n++) {
        total += mono[n] * taps[half + at - n * up];
    }
    return total;
}

int edgedistill_sound(const double *samples, int64_t frames, int32_t channels, int32_t rate_hz, int32_t to_hz,
                      int32_t length, int16_t *clip)
{
    int64_t used, i, made, common, up, down, most, half, before, after;
    double *mono, *taps = NULL;
    if (frames < 1 || channels < 1 || rate_hz < 4000 || rate_hz > 192000 || to_hz < 1 || length < 1) {
        return 1;
    }
    used = frames < rate_hz ? frames : rate_hz;
    samples += (frames - used) / 2 * channels;
    common = divisor(rate_hz, to_hz);
    up = to_hz / common;
    down = rate_hz / common;
    most = up > down ? up : down;
    half = HALF_WIDTH * most;
    mono = (double *)malloc((size_t)used * sizeof(double));
    if (mono == NULL) {
        return 2;
    }
    for (i = 0; i < used; i++) {
        int32_t k;
        mono[i] = 0.0;
        for (k = 0; k < channels; k++) {
            mono[i] += samples[i * channels + k];
        }
        mono[i] /= (double)channels;
    }
    made = used;
    if (rate_hz != to_hz) {
        taps = (double *)malloc((size_t)(2 * half + 1) * sizeof(double));
        if (taps == NULL) {
            free(mono);
            return 2;
        }
        low_pass(taps, half, most, up);
        made = (used * up + down - 1) / down;
    }
    before = made < length ? (length - made) / 2 : 0; /* zeros before the sound */
    after = made > length ? (made - length) / 2 : 0;  /* samples left out before the clip */
    for (i = 0; i < length; i++) {
        const int64_t m = i - before + after;
        double value = 0.0;
        if (m >= 0 && m < made) {
            value = taps == NULL ? mono[m] : resampled(mono, used, taps, half, up, down, m);
        }
        value = rint(value * 16777216.0) / 16777216.0; /* the last bits of a sum must not decide */
        value = rint(value);                           /* half to even, as every processor starts */
        clip[i] = (int16_t)(value > 32767.0 ? 32767.0 : value < -32768.0 ? -32768.0 : value);
    }
    free(taps);
    free(mono);
    return 0;
}
