"""Attacks a finished student, float and int8, and counts the images that it still answers rightly."""

# Shapes: pixels are [N,C,H,W] of 0..1, images uint8 [N,H,W,C], labels [N], answers are class numbers [N].

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgedistill.bench.accuracy import to_int8
from edgedistill.data.types import Split
from edgedistill.distill.adversarial import pgd
from edgedistill.distill.evaluate import from_pixels, to_input, to_pixels
from edgedistill.errors import InputError
from edgedistill.ir import interpret, numerics
from edgedistill.ir.graph import Graph
from edgedistill.quant.execute import GraphNet, Shadow
from edgedistill.recipe import AdversarialSection
from edgedistill.record import Attacked

PACKAGE = "pyautoattack"  # the authors' own code as a package: needs torch alone
_TARGETS = 9  # of the targeted attacks (Croce & Hein 2020, section 4.2, as their code has it since)

Victim = Callable[[Tensor], Tensor]  # pixels -> logits
Attack = Callable[[Victim, Tensor, Tensor], Tensor]
Flags = dict[str, list[bool]]  # by attack and network: which images are answered rightly


class OfPixels(nn.Module):
    """A network that takes pixels 0..1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [N,classes]."""
        out: Tensor = self.net(from_pixels(pixels))
        return out


def check(section: AdversarialSection) -> None:
    """Whether what is asked for can be measured here.

    Raises:
        InputError: AutoAttack's package is missing.
    """
    if section.attacked_images and section.autoattack and importlib.util.find_spec(PACKAGE) is None:
        raise InputError(
            f"AutoAttack needs the {PACKAGE} library, which is not installed",
            where="adversarial.autoattack",
            fix="pip install 'edgedistill[adversarial]', or adversarial.autoattack = false for PGD alone",
        )


def pgd_attacks(section: AdversarialSection, seed: int) -> Mapping[str, Attack]:
    """None, and PGD on the cross-entropy, by name."""
    epsilon = section.epsilon / 255

    def by_pgd(net: Victim, pixels: Tensor, labels: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return pgd(
            lambda moved: nn.functional.cross_entropy(net(moved), labels),
            pixels,
            epsilon,
            section.step_size / 255,
            section.attack_steps,
            generator,
        )

    return {"none": lambda net, pixels, labels: pixels, f"pgd-{section.attack_steps}": by_pgd}


def attacks(section: AdversarialSection, seed: int, classes: int) -> Mapping[str, Attack]:
    """Those, and AutoAttack if it is asked for."""
    found = dict(pgd_attacks(section, seed))
    if section.autoattack:
        found["autoattack"] = lambda net, pixels, labels: autoattack(
            net, pixels, labels, section.epsilon / 255, seed, classes
        )
    return found


def parts(classes: int) -> tuple[str, ...]:
    """AutoAttack's parts: the standard four, or what works with fewer than four classes.

    The targeted DLR loss compares four logits, the untargeted one three (Croce & Hein 2020, section 4.2).
    """
    if classes >= 4:
        return ("apgd-ce", "apgd-t", "fab-t", "square")
    return ("apgd-ce", *(("apgd-dlr",) if classes == 3 else ()), "fab", "square")


def told(classes: int) -> str:
    """What is behind the word AutoAttack in a record."""
    return f"{PACKAGE} {metadata.version(PACKAGE)}: {', '.join(parts(classes))}"


def autoattack(
    net: Victim, pixels: Tensor, labels: Tensor, epsilon: float, seed: int, classes: int
) -> Tensor:
    """Changed pixels of images on which one of the parts succeeded, the others as they are.

    AutoAttack (Croce & Hein 2020), L-infinity, by its authors' code; torch's generator stays as it is.
    """
    if epsilon == 0:
        return pixels.clone()
    from pyautoattack import AutoAttack

    with torch.random.fork_rng(devices=[]), _undisturbed():
        attack = AutoAttack(net, attacks=list(parts(classes)), eps=epsilon, seed=seed, version="custom")
        for part in (attack.apgd, attack.apgd_targeted, attack.fab):
            part.n_restarts = 1
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(_TARGETS, classes - 1)
        moved: Tensor = attack.run_standard_evaluation(pixels, labels, batch_size=len(labels))[0]
    return moved.detach()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The package logs its remarks on few images, and ends the tracing of debuggers and coverage."""
    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        sys.settrace(trace)


def inside(moved: Tensor, pixels: Tensor, epsilon: float) -> Tensor:
    """``moved`` held to the ball and to 0..1, whatever it is: what is no number goes back."""
    moved = torch.where(moved.isfinite(), moved, pixels)
    return torch.clamp(moved, (pixels - epsilon).clamp_min(0), (pixels + epsilon).clamp_max(1))


def whole(moved: Tensor, images_NHWC: NDArray[np.uint8], epsilon: int) -> NDArray[np.uint8]:
    """``moved`` in whole pixels, as an int8 input takes them, at most ``epsilon`` from the images."""
    near = np.rint(moved.permute(0, 2, 3, 1).numpy() * 255.0).astype(np.int64)
    original = images_NHWC.astype(np.int64)
    return np.clip(near, original - epsilon, original + epsilon).clip(0, 255).astype(np.uint8)


def flags(real: GraphNet, integer: Graph, some: Split, section: AdversarialSection, seed: int) -> Flags:
    """Attacks both students on some images; ``"ATTACK float"``, ``"ATTACK int8"``, ``"ATTACK transferred"``.

    The int8 student is attacked through its shadow, whose gradients pass its rounding; what counts is the
    integer interpreter's answer to the changed image in whole pixels.
    """
    epsilon, classes = section.epsilon, integer.tensors[integer.outputs[0]].shape[-1]
    images_NHWC, labels = np.asarray(some.images_NHWC), some.labels
    pixels, truth = as_pixels(images_NHWC), torch.from_numpy(labels)
    shadow, plain = OfPixels(Shadow(integer)).eval(), OfPixels(real).eval()
    found: Flags = {}
    for name, attack in attacks(section, seed, classes).items():
        on_float = inside(attack(plain, pixels, truth), pixels, epsilon / 255)
        on_int8 = inside(attack(shadow, pixels, truth), pixels, epsilon / 255)
        with torch.no_grad():
            found[f"{name} float"] = (plain(on_float).argmax(1) == truth).tolist()
        for kind, moved in (("int8", on_int8), ("transferred", on_float)):
            answers = _answers(integer, shadow, whole(moved, images_NHWC, epsilon))
            found[f"{name} {kind}"] = (answers == labels).tolist()
    return found


def _answers(integer: Graph, shadow: OfPixels, images_NHWC: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The interpreter's; a shadow that answered otherwise would have been attacked in its place."""
    answer, name = integer.outputs[0], integer.inputs[0]
    q = interpret.run(integer, {name: to_int8(images_NHWC)})[answer]
    quant = integer.tensors[answer].quant
    assert quant is not None
    real = numerics.dequantise(q, quant)
    with torch.no_grad():
        assert np.array_equal(shadow(as_pixels(images_NHWC)).numpy(), real), "the shadow is another network"
    return np.asarray(q.argmax(1), np.int64)


def as_pixels(images_NHWC: NDArray[np.uint8]) -> Tensor:
    """Images as pixels 0..1 [N,C,H,W]."""
    return to_pixels(to_input(images_NHWC))


def summed(found: Sequence[Flags]) -> tuple[Attacked, ...]:
    """The flags of all images as a record's rows."""
    names = [key.removesuffix(" float") for key in found[0] if key.endswith(" float")]
    rows = []
    for name in names:
        real, int8, transferred = (
            np.concatenate([part[f"{name} {kind}"] for part in found]).astype(bool)
            for kind in ("float", "int8", "transferred")
        )
        rows.append(
            Attacked(
                attack=name,
                student_float=float(real.mean()),
                student_int8=float(int8.mean()),
                transferred=float(transferred.mean()),
                only_float=int((~real & int8).sum()),
                only_int8=int((real & ~int8).sum()),
            )
        )
    return tuple(rows)


def under_pgd(victim: Victim, some: Split, section: AdversarialSection, seed: int) -> Flags:
    """Attacks one network with PGD alone, in float pixels; by attack, of which "none" is the first."""
    pixels, truth = as_pixels(np.asarray(some.images_NHWC)), torch.from_numpy(some.labels)
    found: Flags = {}
    for name, attack in pgd_attacks(section, seed).items():
        moved = inside(attack(victim, pixels, truth), pixels, section.epsilon / 255)
        with torch.no_grad():
            found[name] = (victim(moved).argmax(1) == truth).tolist()
    return found
