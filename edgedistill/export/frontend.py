"""Prints the sound front end as C99: a device computes the very bytes that the student was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgedistill.data import frontend as fe

FILES = ("frontend.h", "frontend.c")

_HEADER = """\
/* Log-mel features for an edgedistill keyword-spotting student: integers only, no heap, no libm. */
#ifndef EDGEDISTILL_FRONTEND_H
#define EDGEDISTILL_FRONTEND_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define EDGEDISTILL_FRONTEND_RATE_HZ {rate}
#define EDGEDISTILL_FRONTEND_SAMPLES {samples} /* of a clip */
#define EDGEDISTILL_FRONTEND_WINDOW {window} /* samples of a frame */
#define EDGEDISTILL_FRONTEND_HOP {hop} /* samples from one frame to the next */
#define EDGEDISTILL_FRONTEND_FRAMES {frames}
#define EDGEDISTILL_FRONTEND_BANDS {bands}
#define EDGEDISTILL_FRONTEND_SCRATCH {fft} /* int32_t values, {scratch_bytes} bytes */
#define EDGEDISTILL_FRONTEND_TABLES "{sha}" /* sha256 of the constants */

/* One frame: samples[WINDOW] to features[BANDS]; scratch is overwritten. For a stream, call it every HOP
 * samples and move the older rows of the student's input up by one. */
void edgedistill_frontend_frame(const int16_t *samples, int8_t *features, int32_t *scratch);

/* One clip: samples[SAMPLES] to features[FRAMES * BANDS], the student's int8 input. */
void edgedistill_frontend_clip(const int16_t *samples, int8_t *features, int32_t *scratch);

#ifdef __cplusplus
}}
#endif

#endif
"""

_SOURCE = """\
/* Log-mel features, step by step as in edgedistill/data/frontend.py, with the same bytes as result. */
#include "frontend.h"

#if (-1 >> 1) != -1
#error "this compiler does not shift negative numbers arithmetically"
#endif

#define HALF ({fft} / 2)
#define SEGMENTS (EDGEDISTILL_FRONTEND_BANDS + 1)
#define FIRST_BIN {first_bin}

{tables}
/* A product with a Q{twiddle_bits} twiddle, rounded half up. */
static int32_t twiddled(int64_t product)
{{
    return (int32_t)((product + (INT64_C(1) << {twiddle_half})) >> {twiddle_bits});
}}

static int32_t windowed(const int16_t *samples, int32_t n)
{{
    if (n >= EDGEDISTILL_FRONTEND_WINDOW) {{
        return 0;
    }}
    return ((int32_t)samples[n] * (int32_t)window_q15[n] + (INT32_C(1) << {window_half})) >> {window_shift};
}}

static uint32_t reversed(uint32_t n)
{{
    n = ((n & 0xF0U) >> 4) | ((n & 0x0FU) << 4);
    n = ((n & 0xCCU) >> 2) | ((n & 0x33U) << 2);
    return ((n & 0xAAU) >> 1) | ((n & 0x55U) << 1);
}}

/* Complex FFT of HALF points, radix 2, decimation in time, in place on bit-reversed input. */
static void transform(int32_t *re, int32_t *im)
{{
    int32_t span;
    for (span = 1; span < HALF; span *= 2) {{
        int32_t j;
        for (j = 0; j < span; j++) {{
            const int64_t c = cosine_q14[j * (HALF / span)];
            const int64_t s = sine_q14[j * (HALF / span)];
            int32_t a;
            for (a = j; a < HALF; a += 2 * span) {{
                const int32_t b = a + span;
                const int32_t turned_re = twiddled(re[b] * c + im[b] * s);
                const int32_t turned_im = twiddled(im[b] * c - re[b] * s);
                re[b] = re[a] - turned_re;
                im[b] = im[a] - turned_im;
                re[a] += turned_re;
                im[a] += turned_im;
            }}
        }}
    }}
}}

/* Power of bin k of the real FFT, in units of one sample squared. */
static int64_t power(const int32_t *re, const int32_t *im, int32_t k)
{{
    const int32_t m = HALF - k;
    const int64_t b_re = re[k] - re[m];
    const int64_t b_im = im[k] + im[m];
    const int64_t c = cosine_q14[k];
    const int64_t s = sine_q14[k];
    const int64_t x_re = (int64_t)re[k] + re[m] + twiddled(b_im * c - b_re * s);
    const int64_t x_im = (int64_t)im[k] - im[m] - twiddled(b_re * c + b_im * s);
    return (x_re * x_re + x_im * x_im) >> {power_shift};
}}

/* log2 of an energy as a level, {floor} octaves and less being the lowest. */
static int8_t level(int64_t energy)
{{
    const uint64_t value = energy < 1 ? 1U : (uint64_t)energy;
    int32_t octave = 0;
    uint64_t mantissa;
    int32_t log2;
    while ((value >> octave) > 1U) {{
        octave++;
    }}
    mantissa = octave >= 8 ? value >> (octave - 8) : value << (8 - octave);
    log2 = octave * {log_one} + (int32_t)log2_q8[mantissa & 255U] - {floor_q8} + {level_half};
    if (log2 < 0) {{
        return INT8_MIN;
    }}
    log2 >>= {level_shift};
    return (int8_t)((log2 > 255 ? 255 : log2) - 128);
}}

void edgedistill_frontend_frame(const int16_t *samples, int8_t *features, int32_t *scratch)
{{
    int32_t *re = scratch;
    int32_t *im = &scratch[HALF];
    int64_t rising_before = 0;
    int32_t n;
    int32_t segment;
    for (n = 0; n < HALF; n++) {{
        const uint32_t r = reversed((uint32_t)n);
        re[r] = windowed(samples, 2 * n);
        im[r] = windowed(samples, 2 * n + 1);
    }}
    transform(re, im);
    for (segment = 0; segment < SEGMENTS; segment++) {{
        int64_t rising = 0;
        int64_t whole = 0;
        for (n = edges[segment]; n < edges[segment + 1]; n++) {{
            const int64_t p = power(re, im, FIRST_BIN + n);
            rising += p * rising_q12[n];
            whole += p;
        }}
        if (segment > 0) {{
            const int64_t falling = whole * (INT64_C(1) << {mel_bits}) - rising;
            const int64_t half = INT64_C(1) << {mel_half};
            features[segment - 1] = level((rising_before + falling + half) >> {mel_bits});
        }}
        rising_before = rising;
    }}
}}

void edgedistill_frontend_clip(const int16_t *samples, int8_t *features, int32_t *scratch)
{{
    int32_t frame;
    for (frame = 0; frame < EDGEDISTILL_FRONTEND_FRAMES; frame++) {{
        edgedistill_frontend_frame(&samples[frame * EDGEDISTILL_FRONTEND_HOP],
                                   &features[frame * EDGEDISTILL_FRONTEND_BANDS], scratch);
    }}
}}
"""


def header() -> str:
    """frontend.h."""
    return _HEADER.format(
        rate=fe.RATE_HZ,
        samples=fe.SAMPLES,
        window=fe.WINDOW,
        hop=fe.HOP,
        frames=fe.FRAMES,
        bands=fe.BANDS,
        fft=fe.FFT,
        scratch_bytes=4 * fe.FFT,
        sha=fe.tables().sha256,
    )


def source() -> str:
    """frontend.c."""
    t = fe.tables()
    edges = np.append(t.edges, len(t.rising))
    arrays = (
        ("int16_t", "window_q15", t.window),
        ("int16_t", "cosine_q14", t.cosine),
        ("int16_t", "sine_q14", t.sine),
        ("int16_t", "rising_q12", t.rising),
        ("uint8_t", "edges", edges),
        ("uint16_t", "log2_q8", t.log2),
    )
    return _SOURCE.format(
        tables="\n".join(_array(*row) for row in arrays),
        fft=fe.FFT,
        first_bin=t.first_bin,
        twiddle_bits=fe.TWIDDLE_BITS,
        twiddle_half=fe.TWIDDLE_BITS - 1,
        window_shift=fe.WINDOW_BITS - fe.FRACTION_BITS,
        window_half=fe.WINDOW_BITS - fe.FRACTION_BITS - 1,
        power_shift=fe.POWER_SHIFT,
        mel_bits=fe.MEL_BITS,
        mel_half=fe.MEL_BITS - 1,
        log_one=1 << fe.LOG_BITS,
        floor=fe.FLOOR_OCTAVES,
        floor_q8=fe.FLOOR_OCTAVES << fe.LOG_BITS,
        level_shift=fe.LEVEL_SHIFT,
        level_half=1 << (fe.LEVEL_SHIFT - 1),
    )


def write(folder: Path) -> None:
    """Prints frontend.h and frontend.c into ``folder``."""
    (folder / "frontend.h").write_text(header(), encoding="ascii")
    (folder / "frontend.c").write_text(source(), encoding="ascii")


def _array(kind: str, name: str, values: fe.Int) -> str:
    limits = np.iinfo(kind.removesuffix("_t"))
    assert limits.min <= int(values.min()) and int(values.max()) <= limits.max, f"{name} fits {kind}"
    rows = [
        "    " + ", ".join(str(v) for v in values[i : i + 16].tolist()) + ","
        for i in range(0, len(values), 16)
    ]
    return f"static const {kind} {name}[{len(values)}] = {{\n" + "\n".join(rows) + "\n};\n"
