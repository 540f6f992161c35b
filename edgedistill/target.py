"""Facts about a device, each with its source; read from targets/*.toml or from a file of the user's."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edgedistill import units
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.tables import parse_toml, problems, read_text

T = TypeVar("T")
Runtime = Literal["litert", "onnxruntime", "coreml", "c", "tflite-micro"]
Format = Literal["onnx", "tflite", "coreml", "c"]
Runner = Literal["local", "cortex-m", "vela"]
Emulator = Literal["mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"]
Positive = Annotated[int, Field(gt=0)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]
Cpu = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")]


def _ordered(band: tuple[float, float]) -> tuple[float, float]:
    if not 0 < band[0] <= band[1]:
        raise ValueError("the lower end stands first, and both are above 0")
    return band


Band = Annotated[tuple[float, float], AfterValidator(_ordered)]


class Fact(BaseModel, Generic[T]):
    """A value and where it is written: a data sheet, a product brief, an architecture manual."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: T
    source: str = Field(min_length=1)


class Npu(BaseModel):
    """An Arm Ethos-U beside the processor, in the words of Vela, its compiler."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accelerator: str = Field(pattern=r"^ethos-u(55|65|85)-[0-9]+$")  # family and MACs per cycle
    system_config: str = Field(pattern=r"^\w+$")  # clock and bandwidths: a section of Vela's Arm/vela.ini
    memory_mode: str = Field(pattern=r"^\w+$")  # where weights and activations lie


Coefficient = Annotated[float, Field(ge=0)]


class Cost(BaseModel):
    """A model of what one inference takes, fitted to measurements; see sizing/cost.py."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runtime: Runtime
    quantity: Literal["instructions", "latency"]  # of one inference; latency in ms
    machine: str = Field(min_length=1)  # processor, or emulator with its version
    software: str = Field(min_length=1)  # compiler and its flags, or the runtime, with versions
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    graphs: Positive  # designed networks that were measured
    error_median: Coefficient  # cross-validated, of a network: |predicted / measured - 1|
    error_p90: Coefficient
    band: Band  # measured / predicted of nine networks in ten
    spread: Coefficient = 0.0  # of repeated measurements of one network, median; 0 where they are exact
    coefficients: dict[str, dict[str, Coefficient]]  # by kernel and by what sizing/*_work.py counts


class Overlay(BaseModel):
    """What a user's own measurements add to a shipped target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost: tuple[Cost, ...] = ()


class Target(BaseModel):
    """What the compiler knows of a device. A fact that nobody has stated is None, never guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")  # the file's stem
    title: str = Field(min_length=1)
    isa: Fact[str]
    cpu: Fact[Cpu] | None = None  # GCC's name for -mcpu
    runtimes: Fact[tuple[Runtime, ...]]
    formats: Fact[tuple[Format, ...]]
    cores: Fact[Positive] | None = None
    clock_hz: Fact[Positive] | None = None
    ram_bytes: Fact[Positive] | None = None  # of the variant that the source names
    flash_bytes: Fact[Positive] | None = None  # only where storage is part of the device
    features: Fact[Names] | None = None  # instruction set extensions that integer kernels use
    emulator: Fact[Emulator] | None = None  # QEMU's machine with this core
    cycles_per_instruction: Fact[Band] | None = None  # of inference code, from measurements on the board
    picojoules_per_cycle: Fact[Band] | None = None  # of the whole chip, from measurements on the board
    npu: Fact[Npu] | None = None  # that runs the network, and leaves to the processor what it cannot
    threads: Fact[Positive] | None = None  # that a benchmark uses by default; None: 1
    default_runner: Runner = "local"
    package: str | None = None  # a row of package.PACKAGES; None: by what it runs
    budget: dict[str, str] = Field(default_factory=dict)  # limits where nobody gives any: a choice, no fact
    notes: str = ""
    cost: tuple[Cost, ...] = ()  # written by `edgedistill calibrate`

    @model_validator(mode="after")
    def _runs_somewhere(self) -> Target:
        if self.default_runner == "cortex-m" and (self.cpu is None or self.emulator is None):
            raise ValueError("the runner cortex-m needs the facts cpu and emulator")
        if self.default_runner == "vela" and self.npu is None:
            raise ValueError("the runner vela needs the fact npu")
        return self

    def wants(self, name: Format) -> bool:
        """Whether the device takes artifacts of this format."""
        return name in self.formats.value


def names() -> tuple[str, ...]:
    """Every target that ships with edgedistill."""
    folder = resources.files("edgedistill.profiles")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load(name: str) -> Target:
    """A shipped target by its name, or a target file by its path (ends in .toml).

    Raises:
        UnknownNameError: no such target; the nearest names are offered.
        InputError: the file cannot be read, or says something that a target file cannot say.
    """
    if name.endswith(".toml"):
        return load_file(Path(name))
    return overlaid(_parse(text_of(name), name, f"{name}.toml"))


def text_of(name: str) -> str:
    """The file of a shipped target as it is written, or a target file by its path.

    Raises:
        UnknownNameError, InputError: as ``load``, but for what the file says.
    """
    if name.endswith(".toml"):
        return read_text(Path(name), "target")
    if name not in names():
        raise UnknownNameError("target", name, names())
    return (resources.files("edgedistill.profiles") / f"{name}.toml").read_text(encoding="utf-8")


def overlay_path(name: str) -> Path:
    """Where a user's measurements of a shipped target lie, whether there are any or not."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"  # XDG Base Directory Specification
    return Path(home) / "edgedistill" / "targets" / f"{name}.toml"


def overlaid(device: Target) -> Target:
    """A shipped target with the user's own measurements before those that it ships with.

    Raises:
        InputError: the user's file cannot be read.
    """
    path = overlay_path(device.name)
    if not path.is_file():
        return device
    own = parse_toml(read_text(path, "target overlay"), Overlay, str(path)).cost
    return device.model_copy(update={"cost": merged(device.cost, own)})


def merged(costs: tuple[Cost, ...], newer: tuple[Cost, ...]) -> tuple[Cost, ...]:
    """The newer ones, and of the others those of another runtime or quantity."""
    replaced = {(cost.runtime, cost.quantity) for cost in newer}
    return (*newer, *(cost for cost in costs if (cost.runtime, cost.quantity) not in replaced))


def load_file(path: Path) -> Target:
    """Reads and checks a target file; the file's stem is the target's name."""
    check_stem(path)
    return _parse(read_text(path, "target"), path.stem, str(path))


def check_stem(path: Path) -> None:
    """Whether a file's stem can name a target.

    Raises:
        InputError: it cannot.
    """
    if path.suffix != ".toml" or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", path.stem):
        raise InputError(
            f"{path.stem!r} cannot name a target",
            where=str(path),
            fix="name the file with lower-case letters, digits, '-', '_' and '.', for example my-board.toml",
        )


def check_file(path: Path) -> tuple[InputError, ...]:
    """Every mistake of a target file, each with its line; empty: ``load_file`` takes it.

    Raises:
        InputError: the file cannot be read, or its stem names no target.
    """
    check_stem(path)
    text = read_text(path, "target")
    found = problems(text, Target, str(path), given={"name": path.stem})
    if found:
        return found
    try:
        _parse(text, path.stem, str(path))
    except InputError as error:
        return (error,)
    return ()


def gaps(device: Target) -> tuple[str, ...]:
    """What a device's file does not say and sizing or a report would use, a phrase for each."""
    wants_c = device.wants("c")
    found = {
        "cpu: C is not compiled for it, so flash is known by its weights alone": wants_c
        and device.cpu is None,
        "ram_bytes: no student is refused for its RAM": device.ram_bytes is None,
        "flash_bytes: no student is refused for its flash": wants_c and device.flash_bytes is None,
        "clock_hz: instructions cannot become milliseconds": device.npu is None and device.clock_hz is None,
        "emulator: the C files are not run before they reach the board": wants_c and device.emulator is None,
        "cycles_per_instruction: no latency is estimated from instructions": wants_c
        and device.cycles_per_instruction is None,
        "picojoules_per_cycle: no energy is estimated": wants_c and device.picojoules_per_cycle is None,
        "cost: latency is not predicted before training (see `edgedistill calibrate`)": device.npu is None
        and device.cpu is None
        and not device.cost,
    }
    return tuple(text for text, missing in found.items() if missing)


def json_schema() -> dict[str, Any]:
    """What a target file may say, for editors that check TOML against a JSON schema."""
    return Target.model_json_schema()


def _parse(text: str, name: str, where: str) -> Target:
    found = parse_toml(text, Target, where, given={"name": name})
    if found.name != name:
        fix = "leave name out: it is the file's stem"
        raise InputError(f"the file says name = {found.name!r}", where=where, fix=fix)
    units.parse_limits(found.budget, where=f"{where}, budget")
    return found
