"""Says which activations of a student are int16, why, and what that gave."""

from __future__ import annotations

from edgedistill.record import BuildRecord


def sentences(record: BuildRecord) -> tuple[str, ...]:
    """Nothing where nobody asked for int16; the reason first, then the layers that auto chose in turn."""
    made = record.int16
    if made is None:
        return ()
    size = f" ({len(made.tensors)} of {made.activations} tensors)" if made.tensors else ""
    steps = (
        f"with {step.layer} in int16, too: {step.accuracy:.2%}, {step.divergence:.2e} nats from float32"
        for step in made.steps
    )
    return (made.why + size, *steps)
