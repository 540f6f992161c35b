"""What a recipe may say: its sections, with every key's default and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgedistill.target import Format


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _is(default: object) -> Callable[[object], bool]:
    """Choices that few make are written where they are made: a stage's hash is of what was chosen."""
    return lambda value: value == default


_unset = _is(None)


class DataSection(_Section):
    """Where examples come from. No source: the built-in digits."""

    # "digits", "synthetic" (no data: see [synthesis]), a folder of class folders (images, sound),
    # parquet files, .npz, module:callable
    source: str = "digits"
    test: str | None = None  # a separate test source; without it the source's own, or a split
    validation_share: float = Field(0.1, gt=0, lt=0.5)  # of the training examples, held out by seed
    test_share: float = Field(0.15, gt=0, lt=0.5)  # only where no test split exists
    resolution: int | None = Field(None, ge=4, le=512)  # side in pixels; None: the images' own
    max_broken_share: float = Field(0.01, ge=0, le=1)
    limit: int | None = Field(None, ge=10)  # at most this many training examples
    # more training images, whose labels are not read: a folder of images, parquet or .npz
    unlabelled: str | None = Field(None, exclude_if=_unset)
    licence: str | None = Field(None, exclude_if=_unset)  # of the examples, for a package's manifest and card
    group: str | None = None  # sound: how a clip's speaker is found (data.audio.GROUPS); None: nohash
    augment: tuple[str, ...] | None = (
        None  # None: pad-crop and flip; for digits (a mirrored 3 is no 3) translate; for sound see tasks
    )

    @property
    def synthetic(self) -> bool:
        """Whether there are no examples: images are made from the teacher."""
        return self.source == "synthetic"

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names in ``augment``, or the source's default."""
        if self.augment is not None:
            return self.augment
        return ("translate",) if self.source == "digits" else ("pad-crop", "flip")


class SynthesisSection(_Section):
    """Images made from the teacher alone, where data.source is "synthetic"; data.resolution is their side.

    None stands for the method's own default, see synthesis.METHODS.
    """

    method: Literal["generator", "inversion"] = "generator"
    images: int = Field(50_000, ge=100)
    classes: int = Field(10, ge=2)  # how many the teacher knows
    labels: tuple[str, ...] | None = None  # their names in its order; None: 0, 1, 2, ...
    batch: int = Field(128, ge=16)
    warmup: int = Field(20, ge=0)  # batches that a generator learns from before the first that is kept
    steps: int | None = Field(None, ge=1)  # of gradient descent per batch
    lr: float | None = Field(None, gt=0)
    statistics: float | None = Field(None, ge=0)  # weight of the BatchNorm statistics
    prior: float | None = Field(None, ge=0)  # weight of the class
    smoothness: float | None = Field(None, ge=0)  # weight of the total variation
    rival: float | None = Field(None, ge=0)  # weight of instructing a student that learns along; 0: none
    rival_steps: int = Field(10, ge=1)  # of that student per batch of new images
    contrast: float = Field(0.0, ge=0)  # weight of being unlike earlier images; costs a second teacher pass
    width: int = Field(32, ge=4)  # of the generator


class TeacherSection(_Section):
    """Who teaches. No spec: the built-in digits teacher."""

    # FILE[@module:callable], timm:NAME, hf:NAME, keras:FILE, module:callable; "none": nobody
    spec: str = "digits"
    normalisation: str = "auto"  # auto, imagenet, half, unit, or "m,m,m/s,s,s" on x/255
    resolution: int | None = Field(None, ge=4, le=1024)
    batch: int = Field(250, ge=1)
    licence: str | None = Field(None, exclude_if=_unset)  # of its weights, for a package's manifest and card


class MemberSection(TeacherSection):
    """One of several teachers, an entry of ``[[teachers]]``; ``distill.combine`` says how they become one."""

    weight: float = Field(1.0, gt=0)  # against the others'


class StudentSection(_Section):
    """FAMILY[:k=v,...] or module:callable; auto: the task's first family."""

    spec: str = "auto"


class SizingSection(_Section):
    """How the student is chosen where nobody names one; see sizing/search.py."""

    # auto: quick where a budget, or the target's own, limits size or speed
    search: Literal["auto", "none", "quick", "thorough"] = "auto"
    families: tuple[str, ...] = ()  # none: the task's
    trials: int | None = Field(None, ge=1)  # candidates to judge; None: 1000, thorough 2000
    finalists: int = Field(3, ge=1, le=20)  # that a thorough search keeps of four times as many
    proxy: str = "capacity"  # what ranks candidates: a row of sizing/analytic.py or sizing/proxy.py


class LossSection(_Section):
    """One loss of a mix, an entry of ``[[distill.losses]]``; ``edgedistill list losses`` has the names."""

    name: str
    weight: float = Field(1.0, ge=0)
    warmup: int = Field(0, ge=0)  # epochs of float training in which the weight rises from 0
    temperature: float | None = Field(None, gt=0)  # of losses that soften logits; None: distill.temperature
    # "auto", "last", "STUDENT_LAYER <- TEACHER_LAYER"; none: losses on features take "auto", on pairs logits
    taps: tuple[str, ...] = ()
    options: dict[str, float] = Field(default_factory=dict)  # its own numbers; hinton's alpha: distill.alpha


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
    losses: tuple[LossSection, ...] = ()  # their weighted sum; none: hinton at temperature and alpha
    cache_features: bool = False  # tapped teacher features are kept with the views, as float16
    cache_limit: str = "4GiB"  # what they may take; more is refused
    # images are mixed in pairs, shares drawn from Beta(mixup, mixup)
    mixup: float | None = Field(None, gt=0, exclude_if=_unset)
    # how the answers of [[teachers]] become one; None: mean
    combine: Literal["mean", "logits", "confidence"] | None = Field(None, exclude_if=_unset)
    # student specs: the first learns from the teacher, each from the one before, the student from the last
    assistants: tuple[str, ...] | None = Field(None, exclude_if=_unset)
    generations: int | None = Field(None, ge=2, le=20, exclude_if=_unset)  # each is the next one's teacher


class AdversarialSection(_Section):
    """Training against changed pixels, and attacks on the finished student: see distill.adversarial.

    A change is at most ``epsilon`` of 0..255 in every value of an image (L-infinity).
    """

    method: Literal["none", "ard", "rslad", "pgd"] = "none"
    epsilon: int = Field(8, ge=0, le=255)  # whole, because an int8 input takes whole pixels
    step: float | None = Field(None, gt=0, le=255)  # of an attack, of 0..255; None: a quarter of epsilon
    steps: int = Field(10, ge=1)  # of the attack on a batch in training
    clean_weight: float = Field(1 / 6, ge=0, le=1)  # rslad: of unchanged images (Zi et al. 2021, section 3.3)
    images: int | None = Field(None, ge=0)  # test images to attack; None: 200, or none without a method
    attack_steps: int = Field(20, ge=1)  # of PGD on the finished student
    autoattack: bool = True  # beside PGD

    @property
    def attacked_images(self) -> int:
        """How many test images the finished student is attacked on, at most."""
        if self.images is not None:
            return self.images
        return 0 if self.method == "none" else 200

    @property
    def step_size(self) -> float:
        """Of an attack, of 0..255."""
        return self.epsilon / 4 if self.step is None else self.step


class QuantiseSection(_Section):
    """The int8 training, teacher still in the loop."""

    epochs: int = Field(4, ge=0)  # of tutoring; 0 with no other phase: post-training quantisation
    lr: float = Field(5e-4, gt=0)
    calibration_images: int = Field(512, ge=1)
    percentile: float = Field(99.999, gt=50, le=100)
    # learned: step sizes are trained, too (LSQ)
    scales: Literal["observed", "learned"] = Field("observed", exclude_if=_is("observed"))
    # whose soft targets; student: the float one
    teacher: Literal["teacher", "student", "both"] = Field("teacher", exclude_if=_is("teacher"))
    # layers whose outputs are int16, by name or glob; auto: as many as int16_loss demands
    int16: tuple[str, ...] | Literal["auto"] = Field((), exclude_if=_is(()))
    # points of validation accuracy that int8 may cost before auto does anything
    int16_loss: float = Field(0.5, ge=0, le=100, exclude_if=_is(0.5))
    # epochs before, from labels alone (QKD's first phase)
    self_study: int = Field(0, ge=0, exclude_if=_is(0))
    # epochs in which teacher and int8 student teach each other (QKD's second phase)
    co_study: int = Field(0, ge=0, exclude_if=_is(0))


class ExportSection(_Section):
    formats: tuple[Format, ...] | None = None  # None: what the target wants, see formats()
    onnx_form: Literal["qlinear", "qdq"] = "qlinear"
    # arithmetic of the C files: F as CPU runtimes, D as TFLite Micro
    family: Literal["F", "D"] = Field("F", exclude_if=_is("F"))
    float32: bool = True  # the same student in float32 beside it, for comparison


class BenchSection(_Section):
    runs: int = Field(200, ge=10)
    warmup: int = Field(20, ge=0)
    threads: int = Field(1, ge=1)
    emulated_inputs: int = Field(100, ge=1)  # test inputs that firmware runs on an emulated board
    cc: str = Field("arm-none-eabi-gcc", min_length=1)  # GCC that compiles that firmware
    # the same student is trained on labels alone, too, to say what its teacher gave
    baseline: bool = Field(False, exclude_if=_is(False))


class PackageSection(_Section):
    """What a build writes for an app or firmware project, as OUT/TARGET/package/NAME."""

    write: bool = True
    names: tuple[str, ...] | None = None  # rows of `edgedistill list packages`; None: the target's


class Recipe(_Section):
    """Everything a build is told; same recipe, same machine: the same bytes."""

    targets: tuple[str, ...] = ("android-arm64",)
    seed: int = Field(0, ge=0)
    trust: bool = False  # allow pickled code in teachers and data
    data: DataSection = DataSection()
    synthesis: SynthesisSection = SynthesisSection()
    teacher: TeacherSection = TeacherSection()
    # several, in place of [teacher]
    teachers: tuple[MemberSection, ...] | None = Field(None, exclude_if=_unset)
    student: StudentSection = StudentSection()
    distill: DistillSection = DistillSection()
    adversarial: AdversarialSection = Field(AdversarialSection(), exclude_if=_is(AdversarialSection()))
    quantise: QuantiseSection = QuantiseSection()
    export: ExportSection = ExportSection()
    bench: BenchSection = BenchSection()
    package: PackageSection = Field(PackageSection(), exclude_if=_is(PackageSection()))
    sizing: SizingSection = Field(SizingSection(), exclude_if=_is(SizingSection()))
    # latency, ram, flash, weights, energy, macs, instructions, accuracy
    budget: dict[str, str] = Field(default_factory=dict)
