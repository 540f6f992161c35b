"""Says what a model's C files were planned to take of a device's flash, and what linking them gave."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.record import BuildRecord
from edgedistill.report import people


def sentences(record: BuildRecord) -> Iterator[str]:
    """None for a build without C, one as planned, and a second where an image was linked."""
    planned = record.graph.flash
    if planned is None:
        return
    parts = (
        ("code", planned.code_bytes),
        ("weights", planned.weight_bytes),
        ("tables", planned.table_bytes),
    )
    words = ", ".join(f"{name} {size:,}" for name, size in parts)
    yield (
        f"planned {planned.total_bytes:,} bytes on {planned.device}: {words} "
        f"({planned.how}, {planned.compiler})"
    )
    linked = people.on_device(record, "flash_bytes")
    if linked is not None:
        yield f"linked {linked:,.0f} bytes, {planned.beside(linked)}"
