"""Trainings of a tiny network that one process and several must agree on; as a program, one of several."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgedistill.data.types import ImageData, Split
from edgedistill.distill import mix as mixes
from edgedistill.distill import parallel
from edgedistill.distill.evaluate import to_input
from edgedistill.distill.loop import Schedule, fit
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant.learned import LearnedGraphNet
from edgedistill.quant.ranges import choose, observe, separate_fixed_operands
from edgedistill.recipe import DistillSection, LossSection
from edgedistill.record import EpochLog
from edgedistill.reporter import QuietReporter
from edgedistill.students import STUDENTS
from edgedistill.teachers.types import Answers, Teacher

ROOT = Path(__file__).parents[2]


def data() -> ImageData:
    """Three classes told apart by brightness of the upper half."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (140, 8, 8, 1)).astype(np.uint8)
    labels = np.arange(140) % 3
    images[:, :4] += (60 * labels).astype(np.uint8)[:, None, None, None]
    parts = [Split(images[a:b], labels[a:b].astype(np.int64)) for a, b in ((0, 100), (100, 120), (120, 140))]
    return ImageData("toy", *parts, labels=("a", "b", "c"), fingerprint="toy")


def _inside(images: np.ndarray, names: Sequence[str] | None) -> Answers:
    real = images.astype(np.float32) / 255
    maps = np.stack([real[..., 0], 1 - real[..., 0], real[..., 0] ** 2], 1)  # [N,3,8,8]
    logits = np.stack([-(((real[:, :4].mean((1, 2, 3)) * 8) - c) ** 2) for c in range(3)], 1)
    return Answers(logits.astype(np.float32), {"maps": maps})


TEACHER = Teacher("toy", lambda images: _inside(images, ()).logits, "toy", inside=_inside)

MIXES = {
    "hinton": (LossSection(name="hinton"),),
    "relations": (
        LossSection(name="hard-labels"),
        LossSection(name="rkd-distance", weight=5.0),
        LossSection(name="similarity", weight=10.0, taps=("blocks.0 <- maps",)),
        LossSection(name="hint", taps=("blocks.0 <- maps",)),
        LossSection(name="crd", weight=0.2, options={"negatives": 8, "dimension": 4}),
    ),
}


def train(
    losses: str, workdir: Path, *, batch: int = 24, epochs: int = 2, until: int | None = None
) -> tuple[nn.Module, tuple[EpochLog, ...]]:
    """The trained network and its epochs; ``until``: stops after so many epochs, as a kill would."""
    workdir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    net = STUDENTS["resnet"].make(3, 1, width=4)
    section = DistillSection(losses=MIXES[losses])
    mix = mixes.make(section, net, TEACHER, data(), seed=0)
    schedule = Schedule(
        "distill", epochs, batch, lr=0.005, temperature=4.0, alpha=0.9, seed=1, precision="float32"
    )

    def after_epoch(logs: Sequence[EpochLog]) -> None:
        if len(logs) == until:
            raise _Enough

    try:
        logs = fit(
            net,
            data(),
            schedule,
            QuietReporter(),
            workdir,
            teacher=TEACHER.logits,
            inside=_inside,
            mix=mix,
            after_epoch=after_epoch,
        )
    except _Enough:
        logs = ()
    return net, logs


class _Enough(Exception):
    pass


def train_int8(workdir: Path) -> tuple[nn.Module, tuple[EpochLog, ...]]:
    """A network trained in int8, its scales along with it."""
    workdir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    graph = separate_fixed_operands(simplify(trace(STUDENTS["resnet"].make(3, 1, width=4), (8, 8, 1))))
    real = to_input(data().train.images_NHWC).permute(0, 2, 3, 1).numpy()
    net = LearnedGraphNet(graph, choose(graph, observe(graph, real, 99.9)))
    schedule = Schedule("quantise", 2, 24, lr=0.005, temperature=4.0, alpha=0.9, seed=1)
    logs = fit(net, data(), schedule, QuietReporter(), workdir, teacher=TEACHER.logits)
    return net, logs


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What a launcher says to one of ``size`` processes."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    told |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": 1,
        "ACCELERATE_USE_CPU": "true",
    }
    return {**os.environ, **{name: str(value) for name, value in told.items()}, "PYTHONPATH": str(ROOT)}


def start(command: Sequence[str], size: int, **options: object) -> list[subprocess.Popen[str]]:
    """``command`` as ``size`` processes, as a launcher starts them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [
        subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, *command],
            env=environment(rank, size, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        for rank in range(size)
    ]


@parallel.joined()
def main(out: Path) -> None:
    """Every training of the tests, one after the other; the first process keeps what came out."""
    torch.set_num_threads(1)
    kept = {}
    for name, losses, batch in (("hinton", "hinton", 24), ("uneven", "hinton", 25), ("mix", "relations", 24)):
        net, logs = train(losses, out / "together" / name, batch=batch)
        kept[name] = {"weights": net.state_dict(), "losses": [log.loss for log in logs]}
    train("relations", out / "begun-together", epochs=3, until=1)
    net, logs = train("relations", out / "begun-alone", epochs=3)
    kept["resumed"] = {"weights": net.state_dict(), "losses": [log.loss for log in logs]}
    net, logs = train_int8(out / "together" / "int8")
    kept["int8"] = {"weights": net.state_dict(), "losses": [log.loss for log in logs]}
    if parallel.team().leads:
        torch.save(kept, out / "together.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
