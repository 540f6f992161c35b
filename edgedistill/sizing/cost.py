"""Predicts what one inference takes on a device: instructions, latency and energy, each with its error band.

Instructions, or latency where it was measured directly, come from a model fitted by `edgedistill calibrate`:
counts of what each step does times coefficients of the device. Other latencies are instructions by a board's
cycles per instruction and its clock, energies cycles by its picojoules per cycle; their bands have both ends
of these facts, and of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from edgedistill import target as targets
from edgedistill.ir.graph import Graph
from edgedistill.runners import aarch64, aarch64_system
from edgedistill.sized import Prediction, Quantity
from edgedistill.sizing import c_work, designed, fit, runtime_work
from edgedistill.sizing.measure import MEASURERS
from edgedistill.sizing.work import Work, inference
from edgedistill.target import Cost, Target


@dataclass(frozen=True)
class Part:
    """What one step, or the call around all steps (no operators), takes of an inference."""

    ops: tuple[str, ...]
    kernel: str
    value: float  # instructions, or ms


def runtime_of(device: Target) -> str:
    """The runtime that a device is judged by unless another is named."""
    return device.runtimes.value[0]


def predict(graph: Graph, device: Target, runtime: str) -> tuple[Prediction, ...]:
    """Every quantity that is known of a device, for an int8 graph with any weights.

    A quantity of which a fact is missing is not among them, see ``missing``; nor is any, if the graph holds
    an operator that was not calibrated.
    """
    cost = model_of(device, runtime)
    made = _parts(graph, device, cost) if cost is not None else None
    if cost is None or made is None:
        return ()
    total = sum(part.value for part in made)
    low, high = total * cost.band[0], total * cost.band[1]
    source = f"a model fitted to {cost.graphs} designed networks on {cost.machine}, {cost.date}"
    if cost.quantity == "latency":
        return (_prediction("latency", (low, total, high), runtime, source),)
    found = [_prediction("instructions", (low, total, high), runtime, source)]
    per = device.cycles_per_instruction
    if per is not None:
        middle = sum(per.value) / 2
        cycles = (low * per.value[0], total * middle, high * per.value[1])
        source += f"; cycles per instruction: {per.source}"
        if device.clock_hz is not None:
            clock = device.clock_hz.value
            ends = [count / clock * 1e3 for count in cycles]
            found.append(_prediction("latency", ends, runtime, f"{source}; {device.clock_hz.source}"))
        each = device.picojoules_per_cycle
        if each is not None:
            joules = (each.value[0], sum(each.value) / 2, each.value[1])
            ends = [count * picojoules * 1e-9 for count, picojoules in zip(cycles, joules, strict=True)]
            found.append(_prediction("energy", ends, runtime, f"{source}; energy: {each.source}"))
    return tuple(found)


def parts(graph: Graph, device: Target, runtime: str) -> tuple[Part, ...]:
    """What each step takes, in order; together they are the prediction of the whole.

    Empty where the device has no model, or not of every operator.
    """
    cost = model_of(device, runtime)
    return () if cost is None else _parts(graph, device, cost) or ()


def missing(device: Target, quantity: Quantity, runtime: str | None = None) -> str | None:
    """Which fact a prediction of a quantity lacks, and how to get it; None: it lacks none."""
    runtime = runtime_of(device) if runtime is None else runtime
    if all(runtime != measured for _, measured in MEASURERS):
        return f"{device.title} runs {runtime}, which `edgedistill calibrate` cannot measure"
    cost = model_of(device, runtime)
    command = _calibrate(device, runtime)
    if cost is None:
        return f"{device.title} has no cost model of the runtime {runtime}: {command} fits one"
    if not _knows_kernels(cost, device):
        return (
            f"the cost model of {device.title}, {runtime}, {cost.date}, does not know all that "
            f"this version's kernels do: {command} fits it anew"
        )
    if cost.quantity == quantity:
        return None
    measured = "measure it on the board and write it into the target file, with its source"
    if cost.quantity == "latency" and quantity == "instructions":
        return f"{device.title} has a model of latency, and none of instructions: use --budget latency=..."
    if cost.quantity == "latency" or device.cycles_per_instruction is None:
        return f"{device.title} has no [cycles_per_instruction]: {measured}"
    if quantity == "latency" and device.clock_hz is None:
        return f"{device.title} has no [clock_hz]: choose a board instead of a core, or state it"
    if quantity == "energy" and device.picojoules_per_cycle is None:
        return f"{device.title} has no [picojoules_per_cycle]: {measured}"
    return None


def emulated(device: Target, runtime: str) -> bool:
    """Whether there is an emulator, installed or not, that runs what a device's runtime would run."""
    return device.emulator is not None if runtime == "c" else core_of(device, runtime) is not None


def _calibrate(device: Target, runtime: str) -> str:
    """The command that fits a model, and where it has to run."""
    name = device.name if device.name in targets.names() else f"{device.name}.toml"
    command = f"edgedistill calibrate --target {name} --runtime {runtime}"
    return f"`{command}`" if emulated(device, runtime) else f"`{command} --on local` on the device itself"


def _knows_kernels(cost: Cost, device: Target) -> bool:
    """Whether a model has coefficients for all that designed networks do; all models are fitted to these."""
    scale = next(row.scale for (_, runtime), row in MEASURERS.items() if runtime == cost.runtime)
    return all(_parts(graph, device, cost) is not None for graph in _designed(scale))


@lru_cache(maxsize=4)
def _designed(scale: int) -> tuple[Graph, ...]:
    return designed.networks(len(designed.STRUCTURES), scale=scale)


def works(graph: Graph, device: Target, runtime: str) -> tuple[Work, ...] | None:
    """What every step of a graph does in a runtime; None: the device's kernels are not known."""
    if runtime != "c":
        return (inference(), *runtime_work.steps(graph))
    kernels = c_work.kernels_of(device)
    return None if kernels is None else (inference(), *c_work.steps(graph, kernels))


def model_of(device: Target, runtime: str) -> Cost | None:
    """A device's own model of a runtime, the direct one of latency first, else that of its core.

    Instructions are those of a core, its extensions and a compiler: boards do not repeat their core's model.
    """
    own = [cost for cost in device.cost if cost.runtime == runtime]
    if own:
        return min(own, key=lambda cost: cost.quantity != "latency")
    core = core_of(device, runtime)
    return None if core is None else _of_core(core, runtime, str(targets.overlay_path("")))


def core_of(device: Target, runtime: str) -> tuple[str, ...] | None:
    """What decides which instructions a device runs: devices of one core share a model. None: not known.

    The C kernels take their core's extensions from the compiler; float units are alike. Other runtimes
    choose kernels when they start: those of the 64-bit Arm that is most like it, unless it multiplies
    matrices (i8mm), which no emulated one does.
    """
    has = device.features.value if device.features is not None else ()
    if runtime == "c":
        options = sorted({"fpu" if name.startswith("fpv") else name for name in has})
        return None if device.cpu is None else (device.cpu.value, *options)
    if aarch64.architecture(device) is None or "i8mm" in has:
        return None
    return (aarch64_system.cpu_of(device),)


@lru_cache(maxsize=64)
def _of_core(core: tuple[str, ...], runtime: str, overlays: str) -> Cost | None:
    for name in targets.names():
        other = targets.load(name)
        if core_of(other, runtime) == core:
            for cost in other.cost:
                if (cost.runtime, cost.quantity) == (runtime, "instructions"):
                    return cost
    return None


def _parts(graph: Graph, device: Target, cost: Cost) -> tuple[Part, ...] | None:
    if any(graph.tensors[name].dtype != "int8" for name in graph.activations()):
        return None  # kernels of other types were not measured
    found = works(graph, device, cost.runtime)
    values = [fit.value(cost.coefficients, work) for work in found or ()]
    if found is None or None in values:
        return None
    return tuple(Part(work.ops, work.kernel, value or 0.0) for work, value in zip(found, values, strict=True))


def _prediction(quantity: Quantity, ends: Sequence[float], runtime: str, source: str) -> Prediction:
    units = {"instructions": "instructions", "latency": "ms", "energy": "mJ"}
    low, value, high = ends
    return Prediction.model_validate(
        {
            "quantity": quantity,
            "value": value,
            "low": low,
            "high": high,
            "unit": units[quantity],
            "runtime": runtime,
            "source": source,
        }
    )
