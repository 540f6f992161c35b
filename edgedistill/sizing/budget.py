"""Limits of a device's memory, time and energy, each with where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from edgedistill import recipe as recipes
from edgedistill import units
from edgedistill.errors import InputError
from edgedistill.recipe import Recipe
from edgedistill.sized import Quantity
from edgedistill.target import Target

Missing = Callable[[Target, Quantity], str | None]
"""Which fact a prediction lacks (``cost.missing``); None: it lacks none."""

PREDICTED: tuple[Quantity, ...] = ("instructions", "latency", "energy")


@dataclass(frozen=True)
class Limit:
    """At most so much of something, or at least of accuracy."""

    name: str  # a key of units.LIMITS
    value: float  # ms, bytes, mJ, count or share 0..1
    source: str  # in words: the flag, the recipe, the target's default, or a memory's data sheet
    default: bool = False  # the target's own, not the user's
    memory: bool = False  # all that the device has, whatever a budget says
    teacher: bool = False  # of the teacher's size

    @property
    def words(self) -> str:
        """``at most 96.0 KiB of flash (--budget)``."""
        most = "at least" if self.name == "accuracy" else "at most"
        return f"{most} {self.amount(self.value)} of {self.name} ({self.source})"

    def amount(self, value: float) -> str:
        """A need of the same kind, as people write it."""
        return amount(self.name, value)


@dataclass(frozen=True)
class Budget:
    """The limits of every device that one student has to fit, by the device's name."""

    limits: Mapping[str, tuple[Limit, ...]]
    floor: Limit | None = None  # of the accuracy, which only training shows

    @property
    def sizes(self) -> bool:
        """Whether the user or a target's default limits size or speed; memories of a device alone don't."""
        return any(not limit.memory for limits in self.limits.values() for limit in limits)

    def tightest(self) -> tuple[Limit, ...]:
        """The lowest limit of each kind over all devices, by name."""
        found: dict[str, Limit] = {}
        for limits in self.limits.values():
            for limit in limits:
                if limit.name not in found or limit.value < found[limit.name].value:
                    found[limit.name] = limit
        return tuple(found[name] for name in sorted(found))

    def numbers(self) -> dict[str, float]:
        """The tightest limits, and the accuracy's floor, as a record holds them."""
        floor = (self.floor,) if self.floor is not None else ()
        return {limit.name: limit.value for limit in (*self.tightest(), *floor)}

    def unpredictable(
        self, devices: Sequence[Target], missing: Missing
    ) -> tuple[tuple[str, Limit, str], ...]:
        """Limits on what a device's predictions lack a fact for: its name, the limit, the fact in words."""
        found = []
        for device in devices:
            for limit in self.limits[device.name]:
                if limit.name in PREDICTED:
                    words = missing(device, limit.name)
                    if words is not None:
                        found.append((device.name, limit, words))
        return tuple(found)

    def check(self, devices: Sequence[Target], missing: Missing) -> None:
        """Every limit can be held against a prediction.

        Raises:
            InputError: a device lacks a fact, which is named.
        """
        for name, limit, words in self.unpredictable(devices, missing):
            raise InputError(
                f"{limit.name} cannot be predicted: {words}",
                where=f"target {name}, budget.{limit.name} ({limit.source})",
                fix="see to that, or limit flash, ram, weights or macs instead, which need no prediction",
            )

    def below_teacher(self, parameters: int) -> Budget:
        """No more bytes of int8 weights than a teacher has parameters, unless weights are limited already.

        What ranks untrained students rises with their size, and nothing that a teacher knows needs a student
        larger than itself.
        """
        teachers = Limit("weights", parameters, "as many as the teacher has parameters", teacher=True)
        limits = {
            device: found if any(one.name == "weights" for one in found) else (*found, teachers)
            for device, found in self.limits.items()
        }
        return Budget(limits, self.floor)

    def without(self, names: Collection[str]) -> Budget:
        """The budget without limits of these kinds."""
        kept = {
            device: tuple(limit for limit in limits if limit.name not in names)
            for device, limits in self.limits.items()
        }
        return Budget(kept, self.floor)


def of(recipe: Recipe, devices: Sequence[Target], flags: Collection[str] = ()) -> Budget:
    """The recipe's limits for every device, a device's default where the recipe has none, and its memories.

    Args:
        recipe: checked.
        devices: with their default budgets.
        flags: names of limits that were given on the command line.
    """
    own = recipes.budget(recipe)
    named = {
        name: Limit(name, value, "--budget" if name in flags else "the recipe's budget")
        for name, value in own.items()
    }
    floor = named.pop("accuracy", None)
    limits = {}
    for device in devices:
        found = list(named.values())
        defaults = units.parse_limits(device.budget, where=f"target {device.name}, budget")
        for name, value in defaults.items():
            if name not in named and name != "accuracy":
                found.append(Limit(name, value, f"the default of {device.name}", default=True))
        for name, fact in (("ram", device.ram_bytes), ("flash", device.flash_bytes)):
            if fact is not None:
                found.append(Limit(name, fact.value, f"all that {device.title} has", memory=True))
        limits[device.name] = tuple(found)
    return Budget(limits, floor)


def parse_flags(texts: Sequence[str], flag: str = "--budget") -> dict[str, str]:
    """Limits as people write them on a command line: ``flash=96KiB,latency=2ms``, any number of times.

    Raises:
        InputError: not KEY=VALUE, a limit that is given twice with different values, or one that is no
            number above 0 with a unit.
    """
    found: dict[str, str] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        if not part:
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise InputError(f"{part!r} is not KEY=VALUE", where=flag, fix=f"for example {flag} latency=2ms")
        limits = units.parse_limits({key: value}, where=flag)
        if key in found and limits != units.parse_limits({key: found[key]}, where=flag):
            raise InputError(
                f"two limits of {key} contradict each other: {found[key]} and {value}",
                where=flag,
                fix=f"keep one of them, as in {flag} {key}={value}",
            )
        found[key] = value
    return found


def amount(name: str, value: float) -> str:
    """A figure of a limit's kind, as people write it."""
    match name:
        case "accuracy":
            return f"{value:.1%}"
        case "macs" | "instructions":
            return units.format_count(value)
        case "latency":
            return units.format_ms(value)
        case "energy":
            return f"{value:.3g} mJ"
    return units.format_bytes(value)
