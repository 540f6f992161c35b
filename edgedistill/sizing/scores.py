"""Makes the score that ranks candidates: of a graph's shapes, or of an untrained network on a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgedistill import students
from edgedistill.data.types import ImageData
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.ir.graph import Graph
from edgedistill.sizing.analytic import ANALYTIC, Score


def is_analytic(name: str) -> bool:
    """Whether the score needs no data and no network."""
    return name in ANALYTIC


def check(name: str, where: str = "sizing.proxy") -> None:
    """Whether there is such a score.

    Raises:
        UnknownNameError: there is none.
    """
    from edgedistill.sizing.proxy import PROXIES

    if name not in ANALYTIC and name not in PROXIES:
        raise UnknownNameError("proxy", name, {**ANALYTIC, **PROXIES}, where=where)


def words(name: str) -> str:
    """What the score is, and who described it."""
    from edgedistill.sizing.proxy import PROXIES

    row = ANALYTIC[name] if name in ANALYTIC else PROXIES[name]
    return f"{name}: {row.summary} ({row.source})"


def make(name: str, data: ImageData | None) -> Score:
    """The score by its name.

    Args:
        data: whose first training images an untrained network is shown; an analytic score needs none.

    Raises:
        InputError: the score needs images, and there are none.
    """
    if name in ANALYTIC:
        return lambda _, graph: ANALYTIC[name].score(graph)
    if data is None:
        raise InputError(
            f"the proxy {name} shows real images to candidates, and there are none",
            where="sizing.proxy",
            fix=f"choose one of {', '.join(ANALYTIC)}",
        )
    from edgedistill.sizing import proxy

    images = np.asarray(data.train.images_NHWC[: proxy.IMAGES])
    labels = np.asarray(data.train.labels[: proxy.IMAGES])

    def score(student: str, graph: Graph) -> float:
        import torch

        side = graph.tensors[graph.inputs[0]].shape[1:3]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = students.parse(student).build(len(data.labels), data.image_shape[2])
        return proxy.score(name, net, _sized(images, side), labels)

    return score


def _sized(images: NDArray[np.uint8], side: tuple[int, ...]) -> NDArray[np.uint8]:
    """Nearest pixels, where a candidate takes another resolution."""
    rows = np.arange(side[0]) * images.shape[1] // side[0]
    columns = np.arange(side[1]) * images.shape[2] // side[1]
    return images[:, rows][:, :, columns]
