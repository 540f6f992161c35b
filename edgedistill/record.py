"""What a build found out: every figure with where it came from. Written as record.json."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgedistill.errors import InputError
from edgedistill.ir.interpret import Family
from edgedistill.ir.plan import Placement
from edgedistill.sized import Sizing

How = Literal["measured", "emulated", "modelled", "not run"]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Artifact(_Value):
    """One file (or folder) of the output."""

    format: str  # onnx, tflite, coreml, c, onnx-float32, tflite-float32, golden, ...
    path: str  # relative to the record's folder
    sha256: str
    size_bytes: int


class Accuracy(_Value):
    """Top-1 shares 0..1 on the test split; None: not run."""

    teacher: float | None = None
    student_float: float | None = None
    student_int8: float | None = None
    test_images: int = 0
    teacher_ece: float | None = None
    teacher_by_class: tuple[int, ...] = ()  # its right answers among the test images of each class
    teacher_confidence: float | None = None  # its highest probability, mean over the test split
    student_train: float | None = None  # the float student on training examples as they are
    validation_images: int = 0
    plain_float: float | None = None  # bench.baseline: the same student without its teacher
    plain_int8: float | None = None
    plain_error: float | None = None  # standard error of student_int8 - plain_int8 over these test images


class Parity(_Value):
    """One runtime against the interpreter, every value compared."""

    runtime: str  # "litert-xnnpack 2.3.0", "onnxruntime 1.32.0", "c on mps2-an386, qemu 7.2.17", ...
    artifact: str  # relative path
    family: Family = "F"  # of the interpreter that it was compared with
    how: How = "measured"
    values: int = 0
    identical: int = 0
    max_lsb: int = 0
    top1_flips: int = 0
    promised: bool = True  # False: shown, not promised, as QDQ under a runtime's default options
    note: str = ""

    @property
    def broken(self) -> bool:
        """Whether a runtime that ran owes the bits of its family and gave others."""
        owed = self.promised and self.how != "not run"
        return owed and self.identical != self.values

    @property
    def difference(self) -> str:
        """In words, how far a runtime is from the interpreter."""
        in_family = "" if self.family == "F" else f" in family {self.family}"
        return (
            f"{self.runtime} differs from the interpreter{in_family} on {self.values - self.identical:,} of "
            f"{self.values:,} values (at most {self.max_lsb} LSB, {self.top1_flips} changed answers)"
        )


class Measurement(_Value):
    """A figure with its provenance."""

    # latency, latency_ratio, peak_memory, model_bytes, accuracy, energy; of firmware: instructions,
    # stack_bytes, ram_bytes, flash_bytes, estimated_latency, estimated_energy, and of its first input's
    # instructions multiply_accumulates, multiplies, arithmetic, loads, stores, branches,
    # other_instructions (they add up to all of them), loaded_bytes, stored_bytes; of an accelerator:
    # npu_cycles, cpu_operators; of a phone: operator_latency
    quantity: str
    value: float | None
    unit: str  # ms, bytes, share, mJ, µJ, instructions, ×
    how: How
    artifact: str = ""
    runtime: str = ""
    device: str = ""
    count: int = 0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    threads: int | None = None
    note: str = ""
    low: float | None = None  # the 95 % interval of ``value`` in its unit; None: there is none
    high: float | None = None
    isolation: str = ""  # what else shaped the figure: clock, heat, other work, cores


class Step(_Value):
    """What one step takes: one operator, several done as one, or (none) the call around all."""

    ops: tuple[str, ...]
    kernel: str
    value: float  # in the unit of ``Steps``
    float32: float | None = None  # the same operator in float32, where it was timed


class Steps(_Value):
    """The steps of one network in one runtime, in order."""

    rows: tuple[Step, ...]
    unit: Literal["ms", "instructions"]
    how: How
    runtime: str
    device: str


class EpochLog(_Value):
    """One epoch of training."""

    stage: Literal["distill", "quantise"]
    epoch: int
    loss: float
    validation_accuracy: float | None
    images_per_s: float
    seconds: float
    lr: float


class Ancestor(_Value):
    """A network that taught beside others, or on the way from the teacher to the student."""

    role: str  # "teacher 1" of several, "assistant 1", "generation 1", ...
    network: str
    accuracy: float  # top-1 share 0..1 of the test examples
    parameters: int | None = None


class PlannedFlash(_Value):
    """What the C files take of a device's flash, untrained and linked alone; names of classes not counted."""

    code_bytes: int  # kernels, and what they need of the compiler's library
    weight_bytes: int  # kernels, biases and scales
    table_bytes: int  # other constants: look-up tables, kernels of averages, sizes of the steps
    device: str
    compiler: str
    how: How = "modelled"

    @property
    def constant_bytes(self) -> int:
        return self.weight_bytes + self.table_bytes

    @property
    def total_bytes(self) -> int:
        return self.code_bytes + self.constant_bytes

    def beside(self, linked_bytes: float) -> str:
        """``planned 84,560 (+0.10%)``: by how much the linked bytes are more than the planned ones."""
        return f"planned {self.total_bytes:,} ({linked_bytes / self.total_bytes - 1:+.2%})"


class GraphSummary(_Value):
    """What the integer graph is and costs."""

    macs: int
    weight_bytes: int
    arena_bytes: int
    parameters: int
    ops: int
    exact_by_construction: bool
    inexact_ops: tuple[str, ...] = ()
    arena_lower_bound_bytes: int | None = None  # no plan can be smaller
    arena: tuple[Placement, ...] = ()  # where each tensor lies, and when
    flash: PlannedFlash | None = None  # None: no C, or no compiler for the device's core


class Attacked(_Value):
    """Shares 0..1 of the attacked test images that are answered rightly all the same."""

    attack: str  # "none", "pgd-20", "autoattack"
    student_float: float  # under the attack on the float student
    student_int8: float  # of the integer graph, under the attack on its own arithmetic, in whole pixels
    transferred: float  # of the integer graph, on the images found on the float student, in whole pixels
    only_float: int  # images on which the float student alone is fooled
    only_int8: int


class AttackedTeacher(_Value):
    """A teacher under PGD alone, in float pixels. Shares 0..1; None: not run, for the reason in ``note``."""

    attack: str  # "pgd-20"
    epsilon: int  # of 0..255
    images: int
    clean: float | None = None
    robust: float | None = None
    seconds: float = 0.0
    note: str = ""


class Robustness(_Value):
    """What attackers who may change every value of an image by ``epsilon`` of 0..255 achieve."""

    epsilon: int
    images: int
    attacks: tuple[Attacked, ...]  # the first is none
    autoattack: str | None = None  # package, version and its parts; None: not run
    seconds: float
    teacher: AttackedTeacher | None = None  # None: there is none


class Widened(_Value):
    """One layer that was put in int16 on top of those before it, trained weights unchanged."""

    layer: str
    accuracy: float  # top-1 share 0..1 of the validation examples
    divergence: float  # mean Kullback-Leibler divergence from the float student's answers, in nats


class Int16(_Value):
    """Which activations are int16, why, and what it gave on the validation examples (shares 0..1)."""

    chosen_by: Literal["name", "auto"]
    layers: tuple[str, ...]
    tensors: tuple[str, ...]  # all int16 activations, those at the borders, too
    activations: int  # of the network, int8 and int16
    why: str
    student_float: float
    student_int8: float  # without int16
    accuracy: float  # as built
    steps: tuple[Widened, ...] = ()  # of auto, in the order in which it chose


class BuildRecord(_Value):
    """record.json."""

    schema_version: int = 1
    edgedistill_version: str
    target: str
    task: str = "image-classification"  # a row of tasks.TASKS
    created_utc: str
    recipe: dict[str, object]
    recipe_sha256: str
    machine: str
    versions: dict[str, str]
    stage_hashes: dict[str, str]
    stage_seconds: dict[str, float]
    labels: tuple[str, ...]
    input_shape: tuple[int, ...]
    input_scale: float
    input_zero_point: int
    accuracy: Accuracy
    graph: GraphSummary
    artifacts: tuple[Artifact, ...] = ()
    parity: tuple[Parity, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    epochs: tuple[EpochLog, ...] = ()
    robustness: Robustness | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    warnings: tuple[str, ...] = ()
    lineage: tuple[Ancestor, ...] = ()  # in their order
    guidance: tuple[str, ...] = ()  # said before training: where teacher and student fit badly
    sizing: Sizing | None = None  # None: the user named the student
    steps: Steps | None = None  # None: neither known of the device nor timed here
    int16: Int16 | None = None  # None: int8 throughout, and nobody asked for more


def now_utc() -> str:
    """This moment as ``created_utc`` holds it, ISO 8601 to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def save(record: BuildRecord, path: Path) -> None:
    """Writes record.json."""
    path.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load(path: Path) -> BuildRecord:
    """Reads record.json.

    Raises:
        InputError: it is missing, or was not written by a version of edgedistill that this one knows.
    """
    try:
        return BuildRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        fix = "give the folder of a finished build, such as out/android-arm64"
        raise InputError(f"the record cannot be read: {error.strerror}", where=str(path), fix=fix) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"this is not a build record: {key + ': ' if key else ''}{first['msg']}",
            where=str(path),
            fix="build again with this version of edgedistill",
        ) from error


def json_schema() -> dict[str, Any]:
    """What record.json may hold, for programs that read it."""
    return BuildRecord.model_json_schema()
