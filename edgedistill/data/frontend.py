"""The front end for sound, said once and in integers: from a second of samples to 49 x 40 log-mel features.

What a microphone gives is no input for a small network; the logarithm of the energy in
mel bands is (Davis & Mermelstein 1980, section II). Every step is integer arithmetic that a
microcontroller can do, so NumPy here and C on the device (export/frontend.py) give the same bytes:

1. a Hann window of 480 samples (30 ms) every 320 (20 ms), as Zhang et al. 2017, section 5.1;
   6 bits are kept below the sample's last;
2. a real FFT of 512 points, as a complex one of 256 (radix 2, twiddles in Q14, int32 values,
   int64 products rounded half up);
3. power, and 40 triangular filters between 20 and 7,600 Hz, equally wide in mel (O'Shaughnessy
   1987: 2595 log10(1 + f/700)), weights in Q12;
4. log2 with 8 fractional bits from a table of 256; 8 levels an octave of power (0.38 dB each),
   0 at 2^8, so that 255 is 2^40.

Legend: N clips, T frames, S samples, K frequencies, M mel bands, F all frames of some clips.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]

RATE_HZ = 16_000
SAMPLES = 16_000  # one second, the length of a clip
WINDOW, HOP, FFT = 480, 320, 512
FRAMES = 1 + (SAMPLES - WINDOW) // HOP  # 49
BANDS = 40
LOW_HZ, HIGH_HZ = 20.0, 7_600.0
WINDOW_BITS = 15  # of the window's weights
FRACTION_BITS = 6  # kept of a windowed sample: |value| < 2^21, so |FFT| < 2^29 and fits int32
TWIDDLE_BITS = 14
POWER_SHIFT = 2 * (FRACTION_BITS + 1)  # the FFT below is twice the true one; power in units of one sample^2
MEL_BITS = 12
LOG_BITS = 8
FLOOR_OCTAVES = 8  # log2 of the power that becomes 0
LEVEL_SHIFT = 5  # 2^8 steps an octave to 2^3 levels
_CLIPS = 4  # at a time: what fits into a second-level cache


@dataclass(frozen=True, eq=False)
class Tables:
    """The constants, as the generated C has them too."""

    window: Int  # [480] Q15
    cosine: Int  # [256] cos(2 pi k / 512), Q14
    sine: Int  # [256] sin(2 pi k / 512), Q14
    reversed: Int  # [256] bit-reversed order
    first_bin: int  # of the lowest filter
    edges: Int  # [41] first bin of each of the 41 segments between the 42 edges, from first_bin
    rising: Int  # [bins] Q12 weight of the filter that rises in the bin's segment; 1 - it falls
    log2: Int  # [256] round(256 * log2(1 + (i + 1/2) / 256))

    @property
    def sha256(self) -> str:
        """Of all constants: what a cached feature and a generated C file depend on."""
        digest = hashlib.sha256(f"{WINDOW} {HOP} {FFT} {self.first_bin} {FLOOR_OCTAVES}".encode())
        for table in (self.window, self.cosine, self.sine, self.edges, self.rising, self.log2):
            digest.update(table.astype("<i4").tobytes())
        return digest.hexdigest()


@lru_cache(maxsize=1)
def tables() -> Tables:
    """Computes the constants."""
    turn = 2 * np.pi * np.arange(FFT // 2) / FFT
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    half = FFT // 2
    bits = half.bit_length() - 1
    order = np.array([int(f"{i:0{bits}b}"[::-1], 2) for i in range(half)], dtype=np.int64)
    mel = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    edges_hz = 700 * (10 ** (mel / 2595) - 1)
    bins_hz = np.arange(half + 1) * (RATE_HZ / FFT)
    segment = np.searchsorted(edges_hz, bins_hz, side="right") - 1  # -1 below the lowest edge, 41 above all
    used = np.flatnonzero((segment >= 0) & (segment <= BANDS))
    low, high = edges_hz[segment[used]], edges_hz[segment[used] + 1]
    starts = np.searchsorted(segment[used], np.arange(BANDS + 1))
    assert len(set(starts.tolist())) == BANDS + 1, "every segment holds a bin"
    return Tables(
        window=_rounded(hann * (2**WINDOW_BITS - 1)),
        cosine=_rounded(np.cos(turn) * 2**TWIDDLE_BITS),
        sine=_rounded(np.sin(turn) * 2**TWIDDLE_BITS),
        reversed=order,
        first_bin=int(used[0]),
        edges=starts.astype(np.int64),
        rising=_rounded((bins_hz[used] - low) / (high - low) * 2**MEL_BITS),
        log2=_rounded(2**LOG_BITS * np.log2(1 + (np.arange(256) + 0.5) / 256)),
    )


def features(waveforms_NS: NDArray[np.int16]) -> NDArray[np.uint8]:
    """int16 [N, 16000] -> uint8 [N, 49, 40, 1]."""
    assert waveforms_NS.dtype == np.int16 and waveforms_NS.shape[1:] == (SAMPLES,), "seconds of int16 samples"
    result = np.empty((len(waveforms_NS), FRAMES, BANDS, 1), dtype=np.uint8)
    for start in range(0, len(waveforms_NS), _CLIPS):
        chunk = np.asarray(waveforms_NS[start : start + _CLIPS])
        frames = np.lib.stride_tricks.sliding_window_view(chunk, WINDOW, axis=1)[:, ::HOP]  # [N,T,480]
        energy_MF = mel_energy(_power(frames.reshape(-1, WINDOW).T.astype(np.int64)))
        levels = feature_levels(energy_MF).T.reshape(len(chunk), FRAMES, BANDS, 1)
        result[start : start + _CLIPS] = levels
    return result


def _power(frames_SF: Int) -> Int:
    """Samples [480, F] to the power [bins, F] of the bins that filters use, in units of one sample^2.

    The FFT's integers are held in float64, where they are exact (below 2^44) and several times as fast.
    """
    t = tables()
    shift = WINDOW_BITS - FRACTION_BITS
    padded = np.zeros((FFT, frames_SF.shape[1]))
    padded[:WINDOW] = (frames_SF * t.window[:, None] + (1 << (shift - 1))) >> shift
    half = FFT // 2
    z = np.empty((half, frames_SF.shape[1]), dtype=np.complex128)
    z.real, z.imag = padded[0::2][t.reversed], padded[1::2][t.reversed]  # z[n] = x[2n] + i x[2n+1]
    twiddles = t.cosine - 1j * t.sine  # W_512^k
    span = 1
    while span < half:
        above, below = z.reshape(half // (2 * span), 2, span, -1).swapaxes(0, 1)
        turned = _twiddled(below * twiddles[:: half // span][:span, None])
        np.subtract(above, turned, out=below)
        np.add(above, turned, out=above)
        span *= 2
    k = t.first_bin + np.arange(len(t.rising))
    mirrored = z[half - k].conj()
    # even and odd part of the spectrum of z, then twice the spectrum of x (Sorensen et al. 1987, section IV)
    turned = _twiddled((z[k] - mirrored) * twiddles[k][:, None])
    re = (z.real[k] + mirrored.real + turned.imag).astype(np.int64)
    im = (z.imag[k] + mirrored.imag - turned.real).astype(np.int64)
    power: Int = (re * re + im * im) >> POWER_SHIFT
    return power


def mel_energy(power_KF: Int) -> Int:
    """Power of the bins to energy in the bands [40, F]; each bin feeds a rising and a falling side."""
    t = tables()
    rising = np.add.reduceat(power_KF * t.rising[:, None], t.edges, axis=0)  # [41,F]
    whole = np.add.reduceat(power_KF << MEL_BITS, t.edges, axis=0)
    energy: Int = (rising[:-1] + (whole - rising)[1:] + (1 << (MEL_BITS - 1))) >> MEL_BITS
    return energy


def feature_levels(energy: Int) -> NDArray[np.uint8]:
    """Energies (0 <= e < 2^52) to uint8: 8 levels an octave, clamped."""
    at_least_one = np.maximum(energy, 1)
    octave = (np.frexp(at_least_one.astype(np.float64))[1] - 1).astype(np.int64)  # exact below 2^53
    index = ((at_least_one << (52 - octave)) >> 44) & 255  # the 8 bits below the leading one
    log2 = (octave << LOG_BITS) + tables().log2[index]
    levels = (log2 - (FLOOR_OCTAVES << LOG_BITS) + (1 << (LEVEL_SHIFT - 1))) >> LEVEL_SHIFT
    return np.asarray(levels.clip(0, 255), dtype=np.uint8)


def describe() -> str:
    """One line for a model's metadata: what its input is and where it can be computed."""
    return (
        f"log-mel features [{FRAMES}, {BANDS}, 1] of one second of 16-bit sound at {RATE_HZ} Hz: "
        f"Hann window {WINDOW} every {HOP} samples, FFT {FFT}, {BANDS} mel bands {LOW_HZ:g}-{HIGH_HZ:g} Hz, "
        f"8 levels an octave of power from 2^{FLOOR_OCTAVES}; in integers, see frontend.c "
        f"(tables sha256 {tables().sha256[:16]})"
    )


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _rounded(values: NDArray[np.float64]) -> Int:
    return np.rint(values).astype(np.int64)


def _twiddled(product: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Whole numbers times a twiddle in Q14, rounded half up; in place."""
    parts = product.view(np.float64)
    parts += 1 << (TWIDDLE_BITS - 1)
    parts *= 2.0**-TWIDDLE_BITS
    np.floor(parts, out=parts)
    return product
