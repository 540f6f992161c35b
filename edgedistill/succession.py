"""Who teaches whom before the student learns: assistants in a chain, and generations of the student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgedistill import students
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import adversarial, parallel
from edgedistill.distill import mix as mixes
from edgedistill.distill.losses import LOSSES
from edgedistill.errors import InputError
from edgedistill.recipe import DistillSection, Recipe
from edgedistill.record import Ancestor
from edgedistill.teachers.types import Teacher
from edgedistill.teaching import check_taps
from edgedistill.training import distil

# between the seeds of two generations, which the paper starts from other weights (Furlanello et al. 2018,
# section 3); far enough that the seeds of a comparison (0, 1, 2, ...) don't meet each other's
_SEED_STEP = 10_007


@dataclass(frozen=True)
class Link:
    """One training of the chain; each is taught by the one before, the first by the recipe's teacher."""

    role: str  # "assistant 1", "generation 1", ...
    spec: students.StudentSpec
    recipe: Recipe  # as if this were the only training


def chain(recipe: Recipe, spec: students.StudentSpec) -> tuple[Link, ...]:
    """The trainings of a recipe in their order; the last is the student's.

    Raises:
        InputError: an assistant that is no student, or that sees images of another size; a loss that
            looks at a teacher where there is none.
    """
    choices = recipe.distill
    alone = choices.model_copy(update={"assistants": None, "generations": None})
    links = []
    for i, text in enumerate(choices.assistants or (), 1):
        links.append(Link(f"assistant {i}", _assistant(text, i - 1), _only(recipe, alone, text, recipe.seed)))
    for i in range(choices.generations or 1):
        seed = recipe.seed + i * _SEED_STEP
        made = _only(recipe, alone, recipe.student.spec, seed)
        links.append(Link(f"generation {i + 1}" if choices.generations else "student", spec, made))
    if recipe.teacher.spec == "none":
        links[0] = _untaught(links[0], last=len(links) == 1)
    return tuple(links)


def _assistant(text: str, place: int) -> students.StudentSpec:
    spec = students.parse(text)
    if spec.resolution is not None:
        raise InputError(
            "an assistant sees the student's images, in their size",
            where=f"distill.assistants[{place}] = {text!r}",
            fix="leave its resolution out",
        )
    return spec


def _only(recipe: Recipe, choices: DistillSection, text: str, seed: int) -> Recipe:
    student = recipe.student.model_copy(update={"spec": text})
    return recipe.model_copy(update={"distill": choices, "student": student, "seed": seed})


def _untaught(link: Link, *, last: bool) -> Link:
    """The first training where nobody teaches: by the losses that need no teacher, else by labels."""
    choices = link.recipe.distill
    taught = [entry.name for entry in mixes.entries(choices) if LOSSES[entry.name].asks_teacher]
    if not taught:
        return link
    if last:
        raise InputError(
            f"there is no teacher, and the loss {taught[0]!r} looks at one",
            where="teacher.spec",
            fix="name a teacher, set distill.generations = 2 or more, or use losses that need none "
            "(distill.alpha = 0; edgedistill list losses)",
        )
    kept = tuple(entry for entry in choices.losses if not LOSSES[entry.name].asks_teacher)
    alone = choices.model_copy(update={"losses": kept, "alpha": 0.0, "cache_features": False})
    hardened = adversarial.untaught(link.recipe.adversarial)
    changed = {"distill": alone, "adversarial": hardened}
    return Link(link.role, link.spec, link.recipe.model_copy(update=changed))


def check(recipe: Recipe, spec: students.StudentSpec, data: ImageData, teacher: Teacher) -> None:
    """Finds before the first training what would only show in a later one.

    Raises:
        InputError: as ``chain`` and ``check_taps``, of any training of the chain.
    """
    *before, last = chain(recipe, spec)
    for link in before:
        unfinished = link.recipe.quantise.model_copy(update={"epochs": 0})  # only the student becomes int8
        check_taps(link.recipe.model_copy(update={"quantise": unfinished}), link.spec, data, teacher)
        teacher = _untrained(link, data)
    check_taps(last.recipe, last.spec, data, teacher)


def _untrained(link: Link, data: ImageData) -> Teacher:
    import torch

    from edgedistill.distill.pupil import as_teacher

    with torch.random.fork_rng(devices=[]):
        return as_teacher(link.spec.build(len(data.labels), data.image_shape[2]), link.role)


def teach(run: Run, spec: students.StudentSpec, data: ImageData, teacher: Teacher) -> tuple[Run, Teacher]:
    """Trains all but the last of the chain; each is a stage, kept like the student's own.

    Assistants: Mirzadeh et al. 2020 (TAKD), section 4. Generations: Furlanello et al. 2018 (born-again
    networks), section 3. ``run.lineage`` gets each one's accuracy on ``data.test``.

    Returns:
        The student's own training, and who teaches in it.
    """
    *before, last = chain(run.recipe, spec)
    for link in before:
        inner = Run(link.recipe, run.store, run.reporter, warnings=run.warnings)
        state, _ = distil(inner, link.spec, data, teacher, title=link.role)
        teacher = _trained(run, link, state, data)
        run.hashes[f"distill {link.role}"] = inner.hashes["distill"]
        run.seconds.update({f"{link.role}, {stage}": seconds for stage, seconds in inner.seconds.items()})
    return run.within(last.recipe), teacher


def _trained(run: Run, link: Link, state: dict[str, NDArray[np.float32]], data: ImageData) -> Teacher:
    import torch

    from edgedistill.distill.evaluate import top1
    from edgedistill.distill.pupil import as_teacher

    net = link.spec.build(len(data.labels), data.image_shape[2])
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    accuracy = parallel.once(top1, net, data.test)
    text = link.recipe.student.spec
    count = sum(p.numel() for p in net.parameters())
    run.reporter.note(f"{link.role}, {text}: {accuracy:.2%} of {len(data.test)} test examples")
    run.lineage.append(Ancestor(role=link.role, network=text, accuracy=accuracy, parameters=count))
    return as_teacher(net, text)


def refuse(recipe: Recipe, what: str) -> None:
    """For commands that train one student at a time.

    Raises:
        InputError: the recipe asks for several trainings, or for none by a teacher.
    """
    several: Sequence[tuple[str, object]] = (
        ("distill.assistants", recipe.distill.assistants),
        ("distill.generations", recipe.distill.generations),
        ('teacher.spec = "none"', recipe.teacher.spec == "none"),
    )
    for key, chosen in several:
        if chosen:
            raise InputError(
                f"{what} trains students of one teacher that is there",
                where=key,
                fix=f"leave it out for {what}, and put it back for the build",
            )
