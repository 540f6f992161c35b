"""A build's choices: one strict TOML file, overridden by flags, written back resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(_Section):
    """Where examples come from. No source: the built-in digits."""

    source: str = "digits"  # "digits", a folder of class folders, a folder or file of parquet, .npz, module:callable
    test: str | None = None  # a separate test source; without it the source's own, or a split
    validation_share: float = Field(0.1, gt=0, lt=0.5)  # of the training examples, held out by seed
    test_share: float = Field(0.15, gt=0, lt=0.5)  # only where no test split exists
    resolution: int | None = Field(None, ge=4, le=512)  # side in pixels; None: the images' own
    max_broken_share: float = Field(0.01, ge=0, le=1)
    limit: int | None = Field(None, ge=10)  # at most this many training examples
    augment: tuple[str, ...] = ("pad-crop", "flip")


class TeacherSection(_Section):
    """Who teaches. No spec: the built-in digits teacher."""

    spec: str = "digits"  # FILE[@module:callable], timm:NAME, hf:NAME, keras:FILE, module:callable
    normalisation: str = "auto"  # auto, imagenet, half, unit, or "m,m,m/s,s,s" on x/255
    resolution: int | None = Field(None, ge=4, le=1024)
    batch: int = Field(250, ge=1)


class StudentSection(_Section):
    """FAMILY[:k=v,...] or module:callable."""

    spec: str = "resnet"


class DistillSection(_Section):
    """The float training, teacher in the loop (Hinton et al. 2015, section 2)."""

    epochs: int = Field(30, ge=0)
    batch: int = Field(256, ge=2)
    temperature: float = Field(4.0, gt=0)
    alpha: float = Field(0.9, ge=0, le=1)  # weight of the soft targets against the hard labels
    views: int = Field(4, ge=0)  # cached augmented views per image; 0: the teacher is asked live
    optimiser: Literal["sgd", "adamw", "muon"] = "sgd"
    lr: float = Field(0.2, gt=0)
    weight_decay: float = Field(3e-4, ge=0)
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    ema: float = Field(0.999, ge=0, lt=1)
    clip_norm: float = Field(5.0, gt=0)
    patience: int = Field(0, ge=0)  # epochs without a better validation accuracy; 0: never stop early
    precision: Literal["auto", "float32", "bf16"] = "auto"


class QuantiseSection(_Section):
    """The int8 training, teacher still in the loop."""

    epochs: int = Field(4, ge=0)  # 0: post-training quantisation
    lr: float = Field(0.01, gt=0)
    calibration_images: int = Field(512, ge=1)
    percentile: float = Field(99.99, gt=50, le=100)


class ExportSection(_Section):
    formats: tuple[Literal["onnx", "tflite", "coreml"], ...] = ("onnx", "tflite", "coreml")
    onnx_form: Literal["qlinear", "qdq"] = "qlinear"
    float32: bool = True  # the same student in float32 beside it, for comparison


class BenchSection(_Section):
    runs: int = Field(200, ge=10)
    warmup: int = Field(20, ge=0)
    threads: int = Field(1, ge=1)


class Recipe(_Section):
    """Everything a build is told; same recipe, same machine: the same bytes."""

    targets: tuple[str, ...] = ("android-arm64",)
    seed: int = Field(0, ge=0)
    trust: bool = False  # allow pickled code in teachers and data
    data: DataSection = DataSection()
    teacher: TeacherSection = TeacherSection()
    student: StudentSection = StudentSection()
    distill: DistillSection = DistillSection()
    quantise: QuantiseSection = QuantiseSection()
    export: ExportSection = ExportSection()
    bench: BenchSection = BenchSection()
    budget: dict[str, str] = Field(default_factory=dict)  # latency, ram, flash, energy, macs, accuracy


def load(path: Path) -> Recipe:
    """Reads and checks a recipe file."""
    raise NotImplementedError  # placeholder until the parser lands
