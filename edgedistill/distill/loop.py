"""THE training loop: float and int8, distilled and plain, resumable to the bit, deterministic by seed."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.data.types import ImageData
from edgedistill.distill import parallel, precision
from edgedistill.distill.adversarial import Adversary
from edgedistill.distill.evaluate import to_input, top1
from edgedistill.distill.mix import Batch, LossMix, simple
from edgedistill.distill.mixup import mixed
from edgedistill.distill.optimisers import OPTIMISERS
from edgedistill.distill.views import Logits, Views
from edgedistill.errors import GateError
from edgedistill.record import EpochLog
from edgedistill.reporter import Reporter
from edgedistill.store import atomic_write
from edgedistill.teachers.hooks import watching
from edgedistill.teachers.types import Inside, Knowing

AfterEpoch = Callable[[Sequence[EpochLog]], None]  # of all epochs so far
_DIVERGED = 1e4  # times the first step's loss (or 1): a cross-entropy of random answers is ln(classes)


@dataclass(frozen=True)
class Schedule:
    """The numbers of one training. ``lr`` is the peak; ``warmup`` a share of all steps."""

    stage: Literal["distill", "quantise"]
    epochs: int
    batch: int
    lr: float
    temperature: float
    alpha: float
    seed: int
    optimiser: str = "sgd"
    shape: str = "one-cycle"
    warmup: float = 0.2
    weight_decay: float = 3e-4
    ema: float = 0.999
    clip_norm: float = 5.0
    patience: int = 0
    precision: str = "auto"
    augment: tuple[str, ...] = ()
    mixup: float | None = None


@dataclass
class _State:
    """What a checkpoint holds besides the network."""

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    stale: int = 0
    precision: str = "float32"
    first_loss: float | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """One-cycle (Smith & Topin 2018, linear up and cosine down), cosine, or constant."""
    if schedule.shape == "constant":
        return schedule.lr
    rise = schedule.warmup * steps if schedule.shape == "one-cycle" else 0
    if step < rise:
        return schedule.lr * (0.05 + 0.95 * step / rise)
    progress = (step - rise) / max(steps - rise, 1)
    return schedule.lr * max(0.5 * (1 + math.cos(math.pi * progress)), 1e-3)


def fit(
    net: nn.Module,
    data: ImageData,
    schedule: Schedule,
    reporter: Reporter,
    workdir: Path,
    *,
    views: Views | None = None,
    teacher: Logits | None = None,
    inside: Inside | None = None,
    knowing: Knowing | None = None,
    mix: LossMix | None = None,
    adversary: Adversary | None = None,
    after_epoch: AfterEpoch | None = None,
) -> tuple[EpochLog, ...]:
    """Trains ``net`` in place and leaves averaged weights in it.

    With ``patience`` these are the epoch's that validated best; without, the last epoch's: the
    learning rate has decayed by then, and a choice among the last epochs is a choice by the
    validation split's noise.

    Args:
        net: float32 [N, C, H, W] -> logits [N, classes].
        workdir: holds the checkpoint; a second call with the same arguments goes on from it.
        views: cached augmented images and soft targets; without them images are augmented
            live and ``teacher`` (if a loss wants its logits) is asked for each batch.
        inside: the teacher with its layers; asked once a batch if losses tap layers that
            ``views`` don't hold.
        knowing: the teacher where it has a use for the batch's labels; of mixed images it is told none.
        mix: the losses, trained in place along with ``net``; None: Hinton's, or the labels
            alone without a teacher.
        adversary: changes every batch and gives the losses then; ``mix`` says what the teacher is asked.
        after_epoch: is told of each epoch once its checkpoint is kept; what it raises ends the training.

    Raises:
        GateError: the loss is not a number any more, or has grown beyond return. The checkpoint of
            the last finished epoch stays.
    """
    team = parallel.team()
    net = net.to(team.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if schedule.epochs == 0:
        return ()
    if mix is None:
        taught = views is not None or teacher is not None
        mix = simple(schedule.temperature, schedule.alpha if taught else 0.0)
    learner = nn.ModuleList([net, mix]).to(team.device)
    team.share(learner)
    optimiser = OPTIMISERS[schedule.optimiser](learner, schedule.lr, schedule.weight_decay)
    average = {k: v.detach().clone() for k, v in net.state_dict().items()}
    best = {k: v.clone() for k, v in average.items()}
    checkpoint, state = workdir / "checkpoint.pt", _State()
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=team.device)
        net.load_state_dict(saved["net"])
        mix.load_state_dict(saved["mix"])
        optimiser.load_state_dict(saved["optimiser"])
        average, best, state = saved["average"], saved["best"], _State(**saved["state"])
        reporter.note(f"resumes after epoch {state.epoch}")
    else:
        state.precision = team.once(_precision, net, data, schedule)
    per_epoch = len(data.train) // schedule.batch
    if per_epoch == 0:
        per_epoch = 1
    while state.epoch < schedule.epochs and not (schedule.patience and state.stale >= schedule.patience):
        team.place = f"{schedule.stage}, epoch {state.epoch + 1}{_kept(state)}"
        started, losses = time.perf_counter(), []
        torch.manual_seed(schedule.seed * 100_003 + state.epoch)
        net.train()
        lr = 0.0
        rising = state.epoch if schedule.stage == "distill" else None
        batches = _batches(data, schedule, state.epoch, mix, views, teacher, inside, knowing)
        for i, (x, known) in enumerate(batches):
            lr = learning_rate(schedule, state.step, per_epoch * schedule.epochs)
            for group in optimiser.param_groups:
                group["lr"] = lr
            if adversary is not None:
                parts = adversary(net, x, known, state.precision)
            else:
                with (
                    precision.autocast(state.precision, team.device.type),
                    watching(net, mix.student_layers) as layers,
                    team.forward(state.step),
                ):
                    out = net(x)
                count = len(known.labels)
                layers = {name: team.whole(value, count) for name, value in layers.items()}
                parts = mix(team.whole(out.float(), count), layers, known, rising)
            loss = torch.stack(list(parts.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            team.sum_gradients(net, mix)
            norm = nn.utils.clip_grad_norm_(learner.parameters(), schedule.clip_norm)
            losses.append(float(loss.detach()))
            _check(parts, losses[-1], float(norm), state, schedule, i)
            optimiser.step()
            state.step += 1
            _update_average(average, net, min(schedule.ema, (1 + state.step) / (10 + state.step)))
            rate = (i + 1) * schedule.batch / (time.perf_counter() - started)
            reporter.progress(
                state.epoch * per_epoch + i + 1,
                schedule.epochs * per_epoch,
                {
                    "epoch": f"{state.epoch + 1}/{schedule.epochs}",
                    "loss": f"{np.mean(losses[-50:]):.4f}",
                    "images/s": f"{rate:.0f}",
                    "val": f"{state.logs[-1]['validation_accuracy']:.2%}" if state.logs else "-",
                },
            )
        train_s = time.perf_counter() - started
        accuracy = team.once(_validate, net, average, data)
        state.epoch += 1
        state.stale += 1
        if accuracy >= state.best:
            state.best, state.stale = accuracy, 0
        if state.stale == 0 or not schedule.patience:
            best = {k: v.clone() for k, v in average.items()}
        log = EpochLog(
            stage=schedule.stage,
            epoch=state.epoch,
            loss=float(np.mean(losses)),
            validation_accuracy=accuracy,
            images_per_s=per_epoch * schedule.batch / train_s,
            seconds=time.perf_counter() - started,
            lr=lr,
        )
        state.logs.append(log.model_dump())
        team.once(
            _save,
            checkpoint,
            {
                "net": net.state_dict(),
                "mix": mix.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "best": best,
                "state": asdict(state),
            },
        )
        if after_epoch is not None:
            after_epoch(tuple(EpochLog(**log) for log in state.logs))
    net.load_state_dict(best)
    net.eval()
    learner.to("cpu")
    return tuple(EpochLog(**log) for log in state.logs)


def _check(
    parts: Mapping[str, Tensor], loss: float, norm: float, state: _State, schedule: Schedule, step: int
) -> None:
    """Stops before the step is taken, so that nothing spoilt is ever kept."""
    if state.first_loss is None:
        state.first_loss = loss
    if math.isfinite(loss) and math.isfinite(norm):
        if loss <= _DIVERGED * max(state.first_loss, 1.0):
            return
        what = f"the loss grew from {state.first_loss:.3g} to {loss:.3g}"
    elif math.isfinite(loss):
        what = f"the gradient's length became {norm} (at a loss of {loss:.3g})"
    else:
        what = f"the loss became {loss}"
    sizes = {name: abs(float(part.detach())) for name, part in parts.items()}
    worst = max(sizes, key=lambda name: sizes[name] if math.isfinite(sizes[name]) else math.inf)
    several = f", or the weight of {worst}, the largest part" if len(parts) > 1 else ""
    raise GateError(
        f"{what} in epoch {state.epoch + 1}, step {step + 1}",
        where=f"{schedule.stage}{_kept(state)}",
        fix=f"lower {schedule.stage}.lr (now {schedule.lr:g}){several}; check the teacher's outputs",
    )


def _kept(state: _State) -> str:
    return f"; the state after epoch {state.epoch} is kept" if state.epoch else ""


def _batches(
    data: ImageData,
    schedule: Schedule,
    epoch: int,
    mix: LossMix,
    views: Views | None,
    teacher: Logits | None,
    inside: Inside | None,
    knowing: Knowing | None,
) -> Iterator[tuple[Tensor, Batch]]:
    """This process's part of batches of a permutation that depends on the seed and the epoch alone.

    What is known beside the images is the whole batch's.
    """
    team = parallel.team()
    rng = np.random.default_rng((schedule.seed, epoch, schedule.stage == "quantise"))
    order = rng.permutation(len(data.train))
    size = min(schedule.batch, len(order))
    layers = tuple(mix.teacher_layers)
    assert views is None or schedule.mixup is None, "cached answers are not those to mixed images"
    for start in range(0, len(order) - size + 1, size):
        indices = np.sort(order[start : start + size])
        part = team.part(size)
        soft: NDArray[np.float32] | None = None
        features: Mapping[str, NDArray[np.floating]] = {}
        if views is not None:
            images, soft, features = views.batch(epoch, indices[part], schedule.seed)
        else:  # every process draws all of them: the generator's numbers belong to the whole batch
            images = data.train.augmented(indices, schedule.augment, rng)
        labels, second = data.train.labels[indices], None
        if schedule.mixup is not None:
            images, second = mixed(images, labels, schedule.mixup, rng)
        elif knowing is not None:
            told = knowing(labels[part])
            teacher, inside = told.logits, told.inside
        if views is None:
            images = images[part]
        if not features.keys() >= set(layers):  # one pass of the teacher serves all losses
            assert inside is not None
            answers = inside(images, layers)
            soft, features = answers.logits if soft is None else soft, answers.features
        elif soft is None and mix.wants_logits:
            assert teacher is not None
            soft = teacher(images)
        x = to_input(images).to(team.device)
        yield (
            x,
            Batch(
                soft=None if soft is None else team.whole(torch.from_numpy(np.ascontiguousarray(soft)), size),
                labels=torch.from_numpy(labels).to(team.device),
                indices=torch.from_numpy(indices).to(team.device),
                teacher={name: team.whole(torch.from_numpy(features[name]).float(), size) for name in layers},
                second=second,
                images=x,
            ),
        )


def _precision(net: nn.Module, data: ImageData, schedule: Schedule) -> str:
    """The schedule's, or what pays; int8 training needs float32."""
    if schedule.stage == "quantise":
        return "float32"
    if schedule.precision != "auto":
        return schedule.precision
    x = to_input(np.asarray(data.train.images_NHWC[: min(64, len(data.train))]))
    return precision.choose(net, x.to(parallel.team().device))


@torch.no_grad()
def _update_average(average: dict[str, Tensor], net: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and BatchNorm statistics."""
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def _validate(net: nn.Module, average: dict[str, Tensor], data: ImageData) -> float:
    current = {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(average)
    accuracy = top1(net, data.validation)
    net.load_state_dict(current)
    return accuracy


def _save(path: Path, content: dict[str, Any]) -> None:
    """A kill or a full disk leaves the old checkpoint or the new one."""
    buffer = io.BytesIO()  # torch's own writer tells a full disk as a RuntimeError
    torch.save(content, buffer)
    atomic_write(path, buffer.getvalue())
