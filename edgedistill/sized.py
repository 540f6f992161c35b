"""What sizing found out before training: predictions with their error bands, candidates, and the choice."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgedistill.units import format_count, format_ms

Quantity = Literal["instructions", "latency", "energy"]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prediction(_Value):
    """What one inference will cost, by a model fitted to measurements: never measured itself."""

    quantity: Quantity
    value: float
    low: float  # the band in which nine of ten networks were found when the model was cross-validated
    high: float
    unit: Literal["instructions", "ms", "mJ"]
    runtime: str  # "c", "litert", "onnxruntime"
    source: str  # what the model was fitted on: machine, date, or the document of a coefficient

    @property
    def words(self) -> str:
        """``predicted 4.61 M instructions (4.50 M to 4.72 M)``."""
        low, value, high = (self._format(end) for end in (self.low, self.value, self.high))
        unit = " instructions" if self.unit == "instructions" else ""
        return f"predicted {value}{unit} ({low} to {high})"

    def _format(self, value: float) -> str:
        if self.unit == "ms":
            return format_ms(value)
        return format_count(value) if self.unit == "instructions" else f"{value:.3g} mJ"


class Candidate(_Value):
    """An untrained student, judged for a device."""

    student: str  # its spec, as --student takes it
    resolution: int | None = None  # side of the input in pixels; None: the data's own
    parameters: int
    macs: int
    weight_bytes: int = 0  # kernels, biases and tables
    arena_bytes: int
    stack_bytes: int = 0
    flash_bytes: int
    flash_exact: bool = False  # linked for the core; False: constants exact, code from a table of kernels
    predictions: tuple[Prediction, ...] = ()
    misses: tuple[str, ...] = ()  # limits that it does not keep: "flash", "ram", "latency", ...
    score: float | None = None  # of the proxy: higher is better

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + self.stack_bytes

    def predicted(self, quantity: Quantity) -> Prediction | None:
        """The prediction of a quantity, or None if the target has no model of it."""
        return next((p for p in self.predictions if p.quantity == quantity), None)


class Finalist(_Value):
    """A candidate that was distilled for a short while, to rank it."""

    candidate: Candidate
    accuracy: float  # top-1 share 0..1 of the validation split
    epochs: int
    images: int  # training images of each epoch
    seconds: float


class Sizing(_Value):
    """How the student was chosen."""

    targets: tuple[str, ...]
    budget: dict[str, float]  # latency in ms, ram and flash in bytes, energy in mJ, macs, accuracy 0..1
    defaults: tuple[str, ...] = ()  # limits that are the target's own
    teachers: tuple[str, ...] = ()  # limits that the teacher's size sets
    search: Literal["quick", "thorough"]
    judged: int  # candidates
    fitting: int
    seconds: float
    proxy: str  # what ranked the candidates, in words
    front: tuple[Candidate, ...]  # no other candidate is smaller in everything and scores as high
    finalists: tuple[Finalist, ...] = ()  # best first
    chosen: Candidate
    naive: Candidate | None = None  # the family's default student, whether it fits or not
    teacher_parameters: int | None = None
    teacher_accuracy: float | None = None
    binding: str = ""  # the limit that the chosen one uses most of
    reason: str = ""  # why the chosen one won, a sentence for people
