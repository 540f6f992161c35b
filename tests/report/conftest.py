"""A made-up record with everything a build can hold, hostile names included."""

from __future__ import annotations

import math

import pytest

from edgedistill.ir.plan import Placement
from edgedistill.record import (
    Accuracy,
    Artifact,
    Attacked,
    AttackedTeacher,
    BuildRecord,
    EpochLog,
    GraphSummary,
    Measurement,
    Parity,
    Robustness,
)

HOSTILE = '<script>alert("x")</script>'


def _epochs() -> tuple[EpochLog, ...]:
    stages = [("distill", i) for i in range(1, 25)] + [("quantise", i) for i in range(1, 5)]
    return tuple(
        EpochLog(
            stage=stage,
            epoch=epoch,
            loss=2.1 * math.exp(-i / 7) + 0.18,
            validation_accuracy=0.93 - 0.55 * math.exp(-i / 5),
            images_per_s=4100.0,
            seconds=9.5,
            lr=0.1,
        )
        for i, (stage, epoch) in enumerate(stages)
    )


def _latency(artifact: str, runtime: str, value: float) -> Measurement:
    return Measurement(
        quantity="latency",
        value=value,
        unit="ms",
        how="measured",
        artifact=artifact,
        runtime=runtime,
        device="Made-up CPU, 2 cores, Linux x86_64",
        count=200,
        p50=value,
        p90=value * 1.1,
        p99=value * 1.4,
        threads=1,
        note="batch 1, 20 warm-up runs not counted",
    )


FIRMWARE = "c on mps2-an386, qemu 7.2.17"


@pytest.fixture
def firmware(record: BuildRecord) -> BuildRecord:
    """The same build for a microcontroller whose firmware ran on an emulator."""

    def row(quantity: str, value: float | None, unit: str, how: str, note: str = "") -> Measurement:
        return Measurement.model_validate(
            {
                "quantity": quantity,
                "value": value,
                "unit": unit,
                "how": how,
                "artifact": "c",
                "runtime": FIRMWARE,
                "device": "A board",
                "note": note,
            }
        )

    rows = (
        row("instructions", 16_234_567.0, "instructions", "emulated", "the same for every input"),
        row("stack_bytes", 612.0, "bytes", "emulated"),
        row("ram_bytes", 37_000.0, "bytes", "emulated"),
        row("flash_bytes", 88_123.0, "bytes", "emulated"),
        row("estimated_latency", 223.2, "ms", "modelled", "an estimate, 203 to 244 ms"),
        row("estimated_energy", 9_300.0, "µJ", "modelled", "an estimate"),
    )
    same = Parity(runtime=FIRMWARE, artifact="c", how="emulated", values=1000, identical=1000)
    return record.model_copy(
        update={
            "target": "nucleo-l4r5zi",
            "parity": (*record.parity, same),
            "measurements": (*record.measurements, *rows),
        }
    )


@pytest.fixture
def accelerated(record: BuildRecord) -> BuildRecord:
    """The same build for an Ethos-U, whose compiler was asked."""
    values = {"npu_cycles": (201_747.0, "cycles"), "estimated_latency": (0.403494, "ms")}
    rows = tuple(
        Measurement(quantity=name, value=value, unit=unit, how="modelled", artifact="student_vela.tflite")
        for name, (value, unit) in values.items()
    )
    more = {"target": "corstone-300-ethos-u55-128", "measurements": (*record.measurements, *rows)}
    return record.model_copy(update=more)


@pytest.fixture
def attacked(record: BuildRecord) -> BuildRecord:
    """The same build whose student and teacher were attacked."""

    def row(attack: str, real: float, int8: float, transferred: float, counts: tuple[int, int]) -> Attacked:
        return Attacked(
            attack=attack,
            student_float=real,
            student_int8=int8,
            transferred=transferred,
            only_float=counts[0],
            only_int8=counts[1],
        )

    made = Robustness(
        epsilon=8,
        images=1200,
        attacks=(
            row("none", 0.85, 0.84, 0.84, (11, 23)),
            row("pgd-20", 0.45, 0.44, 0.46, (31, 43)),
            row("autoattack", 0.405, 0.395, 0.415, (51, 63)),
        ),
        autoattack="pyautoattack 0.2.0: apgd-ce, apgd-t, fab-t, square",
        seconds=75.0,
        teacher=AttackedTeacher(
            attack="pgd-20", epsilon=8, images=1200, clean=0.951, robust=0.512, seconds=3.0
        ),
    )
    return record.model_copy(update={"robustness": made})


@pytest.fixture
def record() -> BuildRecord:
    labels = ("airplane", "automobile", "bird", "cat", "deer", "dog", HOSTILE, "horse", "ship", "truck")
    confusion = tuple(
        tuple(880 + 7 * i if i == j else (23 * i + 31 * j) % 29 if (i + j) % 3 else 0 for j in range(10))
        for i in range(10)
    )
    versions = {"python": "3.11.2", "numpy": "2.4.0", "onnxruntime": "1.32.0", "ai-edge-litert": "2.3.0"}
    return BuildRecord(
        edgedistill_version="0.1.0",
        target="android-arm64",
        created_utc="2026-01-02T03:04:05Z",
        recipe={
            "targets": ["android-arm64"],
            "seed": 0,
            "data": {"source": "digits", "augment": ["pad-crop", "flip"], "limit": None},
            "teacher": {"spec": "timm:" + HOSTILE, "normalisation": "auto"},
            "student": {"spec": "resnet:width=16"},
            "distill": {"epochs": 24, "temperature": 4.0, "alpha": 0.9, "lr": 0.2},
            "quantise": {"epochs": 4, "lr": 0.01, "percentile": 99.99},
        },
        recipe_sha256="ab12" * 16,
        machine="Made-up CPU, 2 cores, Linux x86_64",
        versions=versions,
        stage_hashes={"teacher": "12" * 32, "distill": "34" * 32, "quantise": "56" * 32},
        stage_seconds={"teacher": 3.2, "distill": 228.0, "quantise": 38.0, "export": 1.1, "verify": 4.8},
        labels=labels,
        input_shape=(1, 32, 32, 3),
        input_scale=1 / 64,
        input_zero_point=0,
        accuracy=Accuracy(
            teacher=0.9521, student_float=0.9312, student_int8=0.9305, test_images=10_000, teacher_ece=0.021
        ),
        graph=GraphSummary(
            macs=12_501_632,
            weight_bytes=77_360,
            arena_bytes=49_152,
            parameters=78_042,
            ops=14,
            exact_by_construction=True,
            arena_lower_bound_bytes=48_128,
            arena=(
                Placement("image", 32_768, 3_072, 0, 0),
                Placement("conv0", 0, 16_384, 0, 2),
                Placement(HOSTILE, 16_384, 16_384, 1, 2),
                Placement("conv1/scratch", 32_768, 864, 1, 1),
                Placement("add", 32_768, 16_384, 2, 3),
                Placement("scores", 0, 10, 3, 3),
            ),
        ),
        artifacts=(
            Artifact(format="tflite", path="student.tflite", sha256="a1" * 32, size_bytes=96_312),
            Artifact(format="onnx", path="student.onnx", sha256="b2" * 32, size_bytes=91_800),
            Artifact(format="coreml", path="student.mlpackage", sha256="c3" * 32, size_bytes=104_220),
            Artifact(
                format="tflite-float32", path="student-float32.tflite", sha256="d4" * 32, size_bytes=318_540
            ),
            Artifact(
                format="onnx-float32", path="student-float32.onnx", sha256="e5" * 32, size_bytes=315_010
            ),
            Artifact(format="golden", path="golden.npz", sha256="f6" * 32, size_bytes=51_200),
        ),
        parity=(
            Parity(
                runtime="litert-xnnpack 2.3.0",
                artifact="student.tflite",
                values=640,
                identical=640,
                note="64 inputs",
            ),
            Parity(
                runtime="onnxruntime 1.32.0", artifact="student.onnx", values=640, identical=637, max_lsb=1
            ),
            Parity(
                runtime="litert-reference 2.3.0",
                artifact="student.tflite",
                family="D",
                values=640,
                identical=640,
            ),
            Parity(
                runtime="coreml",
                artifact="student.mlpackage",
                how="not run",
                note="Core ML predicts on macOS only",
            ),
        ),
        measurements=(
            _latency("student.tflite", "litert 2.3.0", 0.412),
            _latency("student-float32.tflite", "litert 2.3.0", 1.31),
            _latency("student.onnx", "onnxruntime 1.32.0", 0.555),
            _latency("student-float32.onnx", "onnxruntime 1.32.0", 0.871),
            Measurement(
                quantity="peak_memory",
                value=1_310_720,
                unit="bytes",
                how="measured",
                artifact="student.tflite",
                runtime="litert 2.3.0",
                note="VmHWM of a fresh process beyond its baseline",
            ),
            Measurement(
                quantity="energy",
                value=None,
                unit="mJ",
                how="not run",
                note="not measured here: this machine shows no energy meter (RAPL)",
            ),
            Measurement(quantity="macs", value=12_501_632, unit="MACs", how="modelled"),
        ),
        epochs=_epochs(),
        confusion=confusion,
        warnings=("the teacher is right on 95.2 % of the test images only",),
    )
