"""The sound front end's constants, as the templates of Kotlin and Swift print them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgedistill.data import frontend


def constants() -> Mapping[str, object]:
    """Numbers by name, and ``tables``: (name, rows of numbers with commas between them)."""
    t = frontend.tables()
    half = frontend.FFT // 2
    tables: Mapping[str, Iterable[int]] = {
        "window": t.window,
        "cosine": t.cosine,
        "sine": t.sine,
        "edges": [*t.edges.tolist(), len(t.rising)],
        "rising": t.rising,
        "log2": t.log2,
    }
    return {
        "rate_hz": frontend.RATE_HZ,
        "samples": frontend.SAMPLES,
        "window": frontend.WINDOW,
        "hop": frontend.HOP,
        "frames": frontend.FRAMES,
        "bands": frontend.BANDS,
        "half": half,
        "half_bits": half.bit_length() - 1,
        "window_shift": frontend.WINDOW_BITS - frontend.FRACTION_BITS,
        "twiddle_bits": frontend.TWIDDLE_BITS,
        "power_shift": frontend.POWER_SHIFT,
        "mel_bits": frontend.MEL_BITS,
        "log_bits": frontend.LOG_BITS,
        "floor_octaves": frontend.FLOOR_OCTAVES,
        "level_shift": frontend.LEVEL_SHIFT,
        "first_bin": t.first_bin,
        "tables_sha256": t.sha256,
        "tables": [(name, _rows([int(v) for v in values])) for name, values in tables.items()],
    }


def _rows(values: list[int]) -> list[str]:
    return [", ".join(map(str, values[i : i + 16])) for i in range(0, len(values), 16)]
