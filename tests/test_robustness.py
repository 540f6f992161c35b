"""An attack goes on behind its last whole part, meets the teacher too, and warns of masked gradients."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill import recipe as recipes
from edgedistill import robustness, teachers
from edgedistill.bench import robust
from edgedistill.data.types import Split
from edgedistill.deliver import Run
from edgedistill.record import Attacked, Robustness
from edgedistill.reporter import QuietReporter
from edgedistill.store import Store
from edgedistill.teachers.types import NOBODY
from tests.victims import victim


def run(out: Path, **more: object) -> Run:
    keys = {"images": 110, "epsilon": 24, "autoattack": False, "attack_steps": 5}
    given = {f"adversarial.{key}": value for key, value in keys.items()}
    made = Run(recipes.resolve(None, {**given, **more}), Store(out), QuietReporter())
    made.hashes["quantise"] = "of the victim"
    return made


def test_a_broken_off_attack_goes_on_behind_its_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, asked, real = victim(), [], robust.flags

    def flags(*given: object) -> robust.Flags:
        part = given[2]
        assert isinstance(part, Split)
        asked.append(len(part))
        if asked == [100, 10]:
            raise KeyboardInterrupt
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(robust, "flags", flags)
    with pytest.raises(KeyboardInterrupt):
        robustness.attack_student(run(tmp_path), who.data, who.float_graph, who.integer)
    made = robustness.attack_student(run(tmp_path), who.data, who.float_graph, who.integer)
    assert asked == [100, 10, 10]  # the first hundred are not attacked again
    assert robustness.attack_student(run(tmp_path), who.data, who.float_graph, who.integer) == made
    assert asked == [100, 10, 10]
    monkeypatch.setattr(robust, "flags", real)
    afresh = robustness.attack_student(run(tmp_path / "b"), who.data, who.float_graph, who.integer)
    assert afresh.attacks == made.attacks and made.images == 110


def test_the_teacher_meets_pgd_on_the_same_images(tmp_path: Path) -> None:
    who = victim()
    taught = run(tmp_path)
    teacher = teachers.load(taught.recipe.teacher, classes=10, image_shape=(8, 8, 1))
    made = robustness.attack(taught, who.data, teacher, who.float_graph, who.integer)
    assert made is not None and made.teacher is not None
    found = made.teacher
    some = robustness.chosen(who.data.test, 110, 0)
    right = teacher.logits(some.images_NHWC).argmax(1) == some.labels
    assert found.clean == float(right.mean()) and found.robust is not None
    assert found.robust < found.clean and (found.attack, found.images) == ("pgd-5", 110)
    again = run(tmp_path)
    assert robustness.attack(again, who.data, teacher, who.float_graph, who.integer) == made


def test_a_teacher_without_gradients_is_not_run_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(
        "import torch\nfrom torch import nn\nclass Deaf(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))\n"
        "    def forward(self, x):\n        return self.net(x).detach()\n"
        "def make():\n    net = Deaf()\n    net(torch.zeros(1, 1, 8, 8))\n    return net.eval()\n"
    )
    keys = {"teacher.spec": f"{tmp_path / 'deaf.py'}:make", "teacher.normalisation": "half"}
    who, made = victim(), run(tmp_path, **keys)
    found = robustness.attack_teacher(made, who.data, made.recipe.teacher, "deaf")
    assert found.robust is None and found.clean is None
    assert found.note.startswith("no gradient flows through this teacher to the pixels: its code")


def test_nothing_is_attacked_unasked(tmp_path: Path) -> None:
    who = victim()
    idle = run(tmp_path, **{"adversarial.images": 0})
    assert robustness.attack(idle, who.data, NOBODY, who.float_graph, who.integer) is None
    assert not (tmp_path / "robustness").exists() and set(idle.hashes) == {"quantise"}


def test_masked_gradients_are_told() -> None:
    def made(transferred: float) -> Robustness:
        row = Attacked(
            attack="pgd-20",
            student_float=0.2,
            student_int8=0.5,
            transferred=transferred,
            only_float=3,
            only_int8=0,
        )
        return Robustness(epsilon=8, images=10, attacks=(row,), seconds=1.0)

    (text,) = robustness.masked(made(0.3))
    assert "50.0% of the images made for it, but 30.0%" in text and "masked" in text
    assert robustness.masked(made(0.49)) == []
