"""Makes batch after batch of images from a teacher, resumable to the bit, deterministic by seed."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.errors import GateError
from edgedistill.recipe import SynthesisSection
from edgedistill.reporter import Reporter
from edgedistill.store import atomic_write
from edgedistill.synthesis.bank import Bank
from edgedistill.synthesis.methods import METHODS, weights
from edgedistill.synthesis.rival import Rival
from edgedistill.synthesis.setting import Setting
from edgedistill.synthesis.statistics import measured
from edgedistill.teachers.gradients import Network

_SAVE_S = 10.0  # between checkpoints; when they are written does not change the images


def synthesise(
    network: Network,
    shape_HWC: tuple[int, int, int],
    choices: SynthesisSection,
    augmentations: Sequence[str],
    seed: int,
    workdir: Path,
    reporter: Reporter,
    *,
    student: nn.Module | None = None,
    temperature: float = 4.0,
) -> Bank:
    """Fills the bank in ``workdir`` with ``choices.images`` images (rounded up to whole batches).

    Args:
        network: the teacher; nothing else is known of its data.
        augmentations: of the training that follows; with ``flip`` among them, mirrored images count.
        workdir: of this very teacher, choices and seed; a second call goes on from it.
        student: untrained, learns along if the method has a weight for that.

    Raises:
        TeacherError: it has no BatchNorm statistics, or answers NaN.
        GateError: the loss is not a number any more.
    """
    method_row, w = METHODS[choices.method], weights(choices)
    module, statistics = measured(network.module, network.name, method_row.momentum)
    teacher = replace(network, module=module)
    torch.manual_seed(seed)
    setting = Setting(teacher, statistics, w, "flip" in augmentations, shape_HWC, choices.width)
    method = method_row.make(setting)
    rival = Rival(student, temperature) if student is not None and w.rival else None
    warmup = choices.warmup if method_row.learns else 0
    kept = math.ceil(choices.images / choices.batch)
    rounds = warmup + kept
    bank = Bank.open(workdir, 2 if rival else 1, kept * choices.batch, shape_HWC, choices.classes)
    checkpoint, done = workdir / "synthesis.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        done = saved["rounds"]
        method.load(saved["method"])
        if rival is not None:
            rival.load(saved["rival"])
        reporter.note(f"resumes after {done} of {rounds} batches")

    def answers(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            pixels = torch.from_numpy(images_NHWC).permute(0, 3, 1, 2).float() / 255
            return network(pixels).numpy()

    started = saved_at = time.perf_counter()
    for number in range(done, rounds):
        torch.manual_seed(seed * 100_003 + number)
        rng = np.random.default_rng((seed, number, 0x5E7))
        targets = (torch.arange(choices.batch) + number * choices.batch) % choices.classes
        images, loss = method.batch(targets, rival.logits if rival and number > warmup else None)
        if not math.isfinite(loss):
            raise GateError(
                f"the loss became {loss} in batch {number + 1}",
                where="synthesis",
                fix=f"lower synthesis.lr (now {w.lr:g}); check the teacher's normalisation",
            )
        made = to_uint8(images)
        if number < warmup:
            found = answers(made)
        else:
            start = (number - warmup) * choices.batch
            bank.put(start, made, answers, augmentations, rng)
            found = np.asarray(bank.answers[0, start : start + choices.batch])
            if rival is not None:
                rival.learn(bank, start + choices.batch, choices.rival_steps, rng)
        right = (found.argmax(1) == targets.numpy()).mean()
        now = time.perf_counter()
        if now - saved_at > _SAVE_S or number + 1 == rounds:
            bank.flush()
            buffer = io.BytesIO()
            torch.save(
                {
                    "rounds": number + 1,
                    "method": method.state(),
                    "rival": rival.state() if rival else None,
                },
                buffer,
            )
            atomic_write(checkpoint, buffer.getvalue())
            saved_at = now
        reporter.progress(
            number + 1,
            rounds,
            {
                "loss": f"{loss:.3f}",
                "as asked": f"{right:.0%}",
                "images/s": f"{(number + 1 - done) * choices.batch / (now - started):.1f}",
            },
        )
    return bank


def to_uint8(images_NCHW: Tensor) -> NDArray[np.uint8]:
    """Pixels 0..1 -> uint8 [N,H,W,C]."""
    rounded = (images_NCHW.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).numpy())
