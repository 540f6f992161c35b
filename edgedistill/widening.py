"""Puts layers in int16 where int8 costs too much: by name, or as many as a measured loss demands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill import target
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import evaluate, parallel
from edgedistill.errors import InputError, UnsupportedOpError
from edgedistill.export import NO_INT16
from edgedistill.ir.graph import Graph, QParams
from edgedistill.quant import int16
from edgedistill.quant.execute import GraphNet, Shadow
from edgedistill.quant.integer import to_integer
from edgedistill.recipe import Recipe
from edgedistill.record import EpochLog, Int16, Widened
from edgedistill.sizing import fits

RANKED = 512  # validation examples on which candidates are compared; accuracy is of all

Quantised = Callable[[Graph, Sequence[str]], tuple[Graph, dict[str, QParams]]]
"""``int16.quantised`` with the ranges that were observed."""
Train = Callable[[Sequence[str], Path], tuple[Graph, Graph, tuple[EpochLog, ...]]]
"""Int8 training with the named layers in int16: the trained float graph, the integer graph, the epochs."""


def check(recipe: Recipe) -> None:
    """Finds in the recipe alone what int16 cannot go with.

    Raises:
        InputError: a format that cannot hold int16, or learned scales.
    """
    if not recipe.quantise.int16:
        return
    formats, form = recipe.export.formats or (), recipe.export.onnx_form
    refused = (
        (
            "export.formats",
            "coreml" in formats,
            f"Core ML cannot hold them: {NO_INT16['coreml']}",
            "leave coreml out",
        ),
        (
            "export.onnx_form",
            form == "qdq",
            "the QDQ form cannot hold them exactly: ONNX Runtime runs int16 between Q and DQ in float32",
            'export.onnx_form = "qlinear"',
        ),
        (
            "quantise.scales",
            recipe.quantise.scales == "learned",
            "their scales are observed, and tied where layers are added",
            'quantise.scales = "observed", or no quantise.int16',
        ),
    )
    for where, found, why, fix in refused:
        if found:
            raise InputError(f"int16 activations are asked for, and {why}", where=where, fix=fix)


def trained(
    run: Run, floating: Graph, quantised: Quantised, data: ImageData, train: Train, work: Path
) -> tuple[Graph, tuple[EpochLog, ...], Int16 | None]:
    """Trains with the recipe's layers in int16; with "auto", in int8 first, and again only if that lost much.

    Args:
        floating: the float student's graph.
        quantised: gives its graph and parameters with layers in int16.
        data: its validation split measures.
        work: a folder for checkpoints.

    Returns:
        The integer graph, its epochs, and what the record says; None where int16 was not asked for.
    """
    asked = run.recipe.quantise.int16
    if not asked:
        _, integer, logs = train((), work)
        return integer, logs, None
    if asked == "auto":
        return _automatic(run, floating, quantised, data, train, work)
    layers = int16.selected(floating, asked)
    tuned, integer, logs = train(layers, work)
    alone = _net(_without_borders(floating, tuned), quantised, ())
    measured = parallel.once(_accuracies, [GraphNet(floating), alone], integer, data)
    why = f"int16, by name: {', '.join(layers)}; {_words(measured)}"
    return integer, logs, _made("name", layers, integer, why, measured)


def _automatic(
    run: Run, floating: Graph, quantised: Quantised, data: ImageData, train: Train, work: Path
) -> tuple[Graph, tuple[EpochLog, ...], Int16 | None]:
    limit = run.recipe.quantise.int16_loss / 100
    tuned, integer, logs = train((), work)
    net = GraphNet(floating)
    measured = parallel.once(_accuracies, [net], integer, data)
    lost = measured[0] - measured[-1]
    of_limit = f"int8 costs {100 * lost:.2f} points of validation accuracy, and {100 * limit:g} are allowed"
    if lost <= limit:
        why = f"int8 throughout: {of_limit}"
        return integer, logs, _made("auto", (), integer, why, (measured[0], measured[-1], measured[-1]))
    run.reporter.stage("int16", f"{of_limit}: layers are tried")
    steps = parallel.once(_search, run, net, tuned, quantised, data, measured[0] - limit)
    layers = tuple(step.layer for step in steps)
    if not layers:
        why = (
            f"int8 throughout: {of_limit}, but no layer in int16 that fits comes nearer to the float student"
        )
        return integer, logs, _made("auto", (), integer, why, (measured[0], measured[-1], measured[-1]))
    again = work / "int16"
    again.mkdir(exist_ok=True)
    _, wide, wide_logs = train(layers, again)
    after = parallel.once(_accuracies, [], wide, data)[-1]
    found = (measured[0], measured[-1], after)
    if after <= measured[-1]:
        why = f"int8 throughout: {', '.join(layers)} in int16 did not help; {_words(found)}"
        return integer, logs, _made("auto", (), integer, why, (*found[:2], measured[-1]), steps)
    why = f"int16, because {of_limit}: {', '.join(layers)}; {_words(found)}"
    return wide, wide_logs, _made("auto", layers, wide, why, found, steps)


def _search(
    run: Run, net: GraphNet, tuned: Graph, quantised: Quantised, data: ImageData, wanted: float
) -> tuple[Widened, ...]:
    """Greedy: the layer that brings the answers nearest to the float student's, until accuracy suffices.

    The trained weights stay. A layer that would not fit a device or the budget is left out.
    """
    images = data.validation.images_NHWC
    some = np.unique(np.linspace(0, len(images) - 1, min(len(images), RANKED)).astype(np.int64))
    right = _log_shares(evaluate.logits(net, images[some]))
    devices = [target.load(name) for name in run.recipe.targets]

    def divergence(layers: Sequence[str]) -> float:
        """Infinite where these layers alone cannot be int16."""
        try:
            wide = _net(tuned, quantised, layers)
        except UnsupportedOpError:
            return math.inf
        answers = _log_shares(evaluate.logits(wide, images[some]))
        return float((np.exp(right) * (right - answers)).sum(1).mean())

    chosen, steps = list[str](), list[Widened]()
    able = [name for name, why in int16.candidates(tuned).items() if why is None]
    best = divergence(chosen)
    while able:
        ranked = sorted((divergence([*chosen, name]), name) for name in able)
        fitting = next(
            (
                (d, name)
                for d, name in ranked
                if d < best and _fits(run, devices, tuned, quantised, [*chosen, name])
            ),
            None,
        )
        if fitting is None:
            break
        best, layer = fitting
        chosen.append(layer)
        able.remove(layer)
        accuracy = evaluate.top1(_net(tuned, quantised, chosen), data.validation)
        steps.append(Widened(layer=layer, accuracy=accuracy, divergence=best))
        if accuracy >= wanted:
            break
    return tuple(steps)


def _fits(
    run: Run, devices: Sequence[target.Target], tuned: Graph, quantised: Quantised, layers: Sequence[str]
) -> bool:
    try:
        fits.check_integer(to_integer(*quantised(tuned, layers)), devices, run.recipe)
    except InputError:
        return False
    return True


def _net(graph: Graph, quantised: Quantised, layers: Sequence[str]) -> GraphNet:
    return GraphNet(*quantised(graph, layers))


def _without_borders(floating: Graph, tuned: Graph) -> Graph:
    """The float graph with trained weights."""
    return floating.with_tensors(
        *(tuned.tensors[name] for name, t in floating.tensors.items() if t.data is not None)
    )


def _accuracies(nets: Sequence[GraphNet], integer: Graph, data: ImageData) -> tuple[float, ...]:
    """Validation accuracy of each, and of the integer graph last."""
    every = [evaluate.top1(net, data.validation) for net in nets]
    return (*every, evaluate.top1(Shadow(integer), data.validation))


def _log_shares(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    centred = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return np.asarray(centred - np.log(np.exp(centred).sum(1, keepdims=True)), np.float64)


def _words(found: Sequence[float]) -> str:
    real, before, after = (f"{share:.2%}" for share in found)
    return f"validation accuracy {before} in int8 alone, {after} as built, {real} in float32"


def _made(
    chosen_by: str,
    layers: Sequence[str],
    integer: Graph,
    why: str,
    found: Sequence[float],
    steps: Sequence[Widened] = (),
) -> Int16:
    real, before, after = found
    return Int16(
        chosen_by="auto" if chosen_by == "auto" else "name",
        layers=tuple(layers),
        tensors=integer.int16_activations(),
        activations=len(integer.activations()),
        why=why,
        student_float=real,
        student_int8=before,
        accuracy=after,
        steps=tuple(steps),
    )
