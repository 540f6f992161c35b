"""Writes the beginning of a user's target file, and tells all its mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgedistill.errors import InputError
from edgedistill.target import Target

SAMPLES: Mapping[str, str] = {  # facts that most boards have: an example of the value
    "cpu": '"cortex-m4"  # GCC\'s name for -mcpu',
    "cores": "1",
    "clock_hz": "100_000_000",
    "ram_bytes": "262_144  # 256 KiB",
    "flash_bytes": "1_048_576  # 1 MiB",
    "features": '["dsp"]',
}
MEASURED = ("cycles_per_instruction", "picojoules_per_cycle", "cost")
"""Facts that were measured on one board or its emulator, and may not hold for another."""


def started(name: str, device: Target, text: str) -> str:
    """A target file called ``name``: the facts of ``device`` as ``text`` has them, to be replaced one by one.

    Facts that the device lacks stand at the end as comments.
    """
    body = re.sub(r"\A(?:#.*\n)+", "", text)
    body = re.sub(r"(?m)^name\s*=.*\n", "", body)
    body = re.sub(
        r"(?m)^title\s*=.*$", lambda _: f'title = "{name}, begun from {device.name}"', body, count=1
    )
    measured = [key for key in MEASURED if getattr(device, key, None)]
    head = [
        f"# {name}: begun as a copy of {device.name} ({device.title}).",
        "# Replace each value by your device's, and each source by the document that states it;",
        "# delete what you do not know: nothing is guessed. Then: edgedistill targets check "
        + f"{name}.toml",
    ]
    if measured:
        head.append(f"# Measured on {device.name}; measure on your device, or delete: {', '.join(measured)}.")
    absent = [key for key in SAMPLES if getattr(device, key) is None]
    tail = [f'\n# [{key}]\n# value = {SAMPLES[key]}\n# source = "data sheet, table"\n' for key in absent]
    if not device.budget:
        tail.append('\n# Limits where nobody sets any.\n# [budget]\n# flash = "256KiB"\n# latency = "20ms"\n')
    return "\n".join(head) + "\n" + body.rstrip("\n") + "\n" + "".join(tail)


def together(mistakes: Sequence[InputError], path: Path) -> InputError:
    """All mistakes of a file as one error: a line of its own for each, with its line in the file."""
    if len(mistakes) == 1:
        return mistakes[0]
    told = (f"  {one.where}: {one.what}" + (f" ({one.fix})" if one.fix else "") for one in mistakes)
    return InputError(
        f"the file has {len(mistakes)} mistakes\n" + "\n".join(told),
        where=str(path),
        fix="correct them, then check it again",
    )
