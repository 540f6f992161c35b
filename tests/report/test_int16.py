"""What is said of int16."""

from edgedistill.record import BuildRecord, Int16, Widened
from edgedistill.report.html import render
from edgedistill.report.int16 import sentences


def test_the_reason_comes_first_then_each_layer(record: BuildRecord) -> None:
    made = Int16(
        chosen_by="auto",
        layers=("a",),
        tensors=("x", "y"),
        activations=7,
        why="int16, because of this",
        student_float=0.9,
        student_int8=0.7,
        accuracy=0.89,
        steps=(Widened(layer="a", accuracy=0.88, divergence=0.01),),
    )
    assert sentences(record) == ()
    first, second = sentences(record.model_copy(update={"int16": made}))
    assert first.startswith("int16, because of this (2 of 7 tensors)")
    assert second == "with a in int16, too: 88.00%, 1.00e-02 nats from float32"
    page = render(record.model_copy(update={"int16": made}))
    assert "Activations in int16" in page and first in page and second in page
    assert "Activations in int16" not in render(record)
