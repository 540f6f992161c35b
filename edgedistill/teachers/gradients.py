"""A teacher that gradients flow through, from its logits back to the pixels: what synthesis needs of one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from edgedistill import teachers
from edgedistill.errors import TeacherError
from edgedistill.recipe import TeacherSection
from edgedistill.teachers import loaded
from edgedistill.teachers.loaded import Request
from edgedistill.teachers.module import fast_layout, first_tensor
from edgedistill.teachers.preprocess import Preprocess, differentiable


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen torch teacher on the CPU, in evaluation mode; ``fingerprint`` is ``Teacher``'s."""

    name: str
    module: nn.Module
    before: Preprocess
    fingerprint: str
    layout: torch.memory_format
    soft: bool = False  # answers with probabilities, of which logarithms are taken

    def __call__(self, pixels_NCHW: Tensor) -> Tensor:
        """Pixels float32 0..1 as the images have them -> logits [N, classes]."""
        x = differentiable(self.before, pixels_NCHW).contiguous(memory_format=self.layout)
        out = first_tensor(self.module(x), self.name).float()
        return out.clamp_min(float(teachers.LEAST_PROBABILITY)).log() if self.soft else out


def load(
    section: TeacherSection,
    *,
    classes: int,
    trust: bool = False,
    channels: int = 3,
    what: str = "images can only be synthesised from",
    instead: str = "or real images",
) -> Network:
    """The teacher of a recipe, before there is any image to show to it.

    Args:
        section: spec and normalisation.
        classes: how many it is asked to know.
        trust: allow files whose reading can run code.
        channels: of the images, where the teacher does not say.
        what: begins the message about a teacher of another kind.
        instead: ends its remedy.

    Raises:
        TeacherError: it cannot be loaded, or is no torch module, so that no gradient reaches the pixels.
    """
    kind, body = teachers.kind_of(section.spec)
    made = teachers.TEACHERS[kind].load(Request(section.spec, body, classes, trust))
    if made.module is None:
        raise TeacherError(
            f"{what} a torch teacher: no gradient flows through this one",
            where=f"teacher {section.spec}",
            fix=f"give its weights with the function that builds it (FILE@module:callable), {instead}",
        )
    channels = made.channels if made.channels is not None else channels
    before, fingerprint = teachers.preparation(made, section, channels)
    module = made.module.cpu().eval().requires_grad_(False)
    return Network(made.name, module, before, fingerprint, fast_layout(module))


def tried(
    network: Network, side: tuple[int, int], classes: int, instead: str = "give real images"
) -> Network:
    """The network once it has answered to an image: whether it gives probabilities is known then.

    Args:
        side: height and width of the images.
        instead: ends the remedies, what to do without such a network.

    Raises:
        TeacherError: it fails on images of that size, knows another number of classes, or cuts gradients off.
    """
    where = f"teacher {network.name}"
    out = loaded.tried(
        lambda: network(torch.full((1, network.before.channels, *side), 0.5, requires_grad=True)),
        f"of {side[0]}x{side[1]} pixels",
        where,
        "set data.resolution to the size that it was trained on",
    )
    loaded.check_classes(
        out.shape, classes, where, f"name the classes that it knows (data, or synthesis.labels), or {instead}"
    )
    if not out.requires_grad:
        raise TeacherError(
            "no gradient flows through this teacher to the pixels: its code cuts it off",
            where=where,
            fix=f"take torch.no_grad, detach and the like out of its forward function, or {instead}",
        )
    return replace(network, soft=teachers.are_probabilities(out.detach().numpy()))
