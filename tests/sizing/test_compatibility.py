"""Every rule speaks on one side of its threshold and is silent on the other; facts are those of real nets."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgedistill import recipe as recipes
from edgedistill import students, teachers
from edgedistill.data.types import ImageData, Split
from edgedistill.ir import plan
from edgedistill.recipe import TeacherSection
from edgedistill.sizing import compatibility as rules
from edgedistill.sizing.compatibility import Pairing
from edgedistill.teachers.types import NOBODY, Sees, Teacher
from tests.graphs import small_float_graph

QUIET = Pairing(
    teacher="a teacher",
    teacher_parameters=850_000,
    sees=Sees((32, 32, 3)),
    teacher_maps=((32, 32), (16, 16), (8, 8)),
    student_spec="resnet:width=16",
    student_parameters=78_000,
    student_maps=((32, 32), (16, 16), (8, 8), (1, 1)),
    image_shape=(32, 32, 3),
    classes=10,
    assisted=False,
    inside=False,
)
FAR = {"teacher_parameters": 20 * 78_000}
APART = {"teacher_maps": ((28, 28), (14, 14))}


@pytest.mark.parametrize(
    ("rule", "speaks", "silent", "words"),
    [
        (rules.too_large, FAR, {"teacher_parameters": 20 * 78_000 - 1}, "20 times the student's parameters"),
        (rules.too_large, FAR, {**FAR, "assisted": True}, "Mirzadeh|teacher assistant of about 349 k"),
        (rules.too_large, FAR, {"teacher_parameters": None}, 'distill.assistants=."resnet:width=34'),
        (
            rules.too_small,
            {"teacher_parameters": 77_999},
            {"teacher_parameters": 78_000},
            "78.0 k and 78.0 k",
        ),
        (
            rules.too_small,
            {"teacher_parameters": 7_000},
            {"teacher_parameters": None},
            "more parameters than its",
        ),
        (
            rules.enlarged,
            {"sees": Sees((48, 32, 3))},
            {"sees": Sees((47, 32, 3))},
            "from|32 x 32 are enlarged to 48",
        ),
        (rules.enlarged, {"sees": Sees((224, 224, 3))}, {"sees": None}, "enlarged to 224 x 224"),
        (rules.enlarged, {"sees": Sees((48, 48, 3))}, {"sees": Sees((16, 16, 3))}, "enlarged"),
        (rules.reduced, {"sees": Sees((21, 21, 3))}, {"sees": Sees((22, 22, 3))}, "--set data.resolution=21"),
        (rules.reduced, {"sees": Sees((16, 16, 3))}, {"sees": Sees((64, 64, 3))}, "reduced to 16 x 16"),
        (rules.other_channels, {"image_shape": (32, 32, 1)}, {}, "takes 3 channels and the data have 1"),
        (rules.other_channels, {"image_shape": (32, 32, 1)}, {"sees": None}, "which is repeated"),
        (
            rules.assumed_normalisation,
            {"sees": Sees((32, 32, 3), "ImageNet's")},
            {},
            "ImageNet's is assumed: set teacher.normalisation",
        ),
        (rules.few_classes, {"classes": 2}, {"classes": 3}, "with 2 classes.*32 x 32, 16 x 16, 8 x 8"),
        (rules.few_classes, {"classes": 2}, {"classes": 2, "inside": True}, "little more than the labels"),
        (rules.few_classes, {"classes": 2}, {"classes": 2, "teacher_maps": None}, "learn from its layers"),
        (rules.layers_to_match, FAR, {}, "can be matched, too"),
        (rules.layers_to_match, FAR, {**FAR, "inside": True}, 'taps = ."auto"'),
        (rules.layers_to_match, FAR, {**FAR, **APART}, "16 x 16"),
        (rules.no_common_size, {**FAR, **APART}, APART, "no feature maps"),
        (rules.no_common_size, {**APART, "inside": True}, {"inside": True}, "28 x 28, 14 x 14"),
        (rules.no_common_size, {**APART, "inside": True}, {"inside": True, "teacher_maps": None}, "taps"),
    ],
)
def test_a_rule_speaks_past_its_threshold_only(
    rule: rules.Rule, speaks: dict[str, object], silent: dict[str, object], words: str
) -> None:
    text = rule(replace(QUIET, **speaks))  # type: ignore[arg-type]
    assert text is not None
    assert re.search(words, text), text
    assert rule(replace(QUIET, **silent)) is None  # type: ignore[arg-type]


def test_a_good_pair_needs_no_advice() -> None:
    assert [rule(QUIET) for rule in rules.RULES if rule(QUIET)] == []
    assert all(rule.__doc__ and "Reason" in rule.__doc__ for rule in rules.RULES)  # type: ignore[attr-defined]


def test_what_can_be_averaged_is_named() -> None:
    pair = replace(QUIET, inside=True, teacher_maps=((56, 56), (24, 24), (7, 7)))
    assert "8 x 8 and 56 x 56 can be matched by averaging" in (rules.no_common_size(pair) or "")
    pair = replace(QUIET, inside=True, student_maps=((32, 32),), teacher_maps=((30, 30),))
    assert "losses on answers alone remain" in (rules.no_common_size(pair) or "")


@settings(max_examples=50, deadline=None)
@given(student=st.integers(1, 10**7), times=st.floats(0.01, 10**4), width=st.integers(1, 256))
def test_the_proposed_assistant_lies_in_between(student: int, times: float, width: int) -> None:
    pair = replace(
        QUIET,
        student_parameters=student,
        teacher_parameters=round(student * times),
        student_spec=f"resnet:depth=20,width={width}",
    )
    text = rules.too_large(pair)
    assert (text is None) == (pair.times < 20)
    if text is not None:
        proposed = text.split('["')[1].split('"]')[0]
        numbers = dict(students.parse(proposed).numbers)
        assert numbers["depth"] == 20
        assert width * times**0.25 - 1 <= numbers["width"] <= width * times**0.25 + 1


def data(side: int, channels: int, labels: tuple[str, ...]) -> ImageData:
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        images = rng.integers(0, 256, (count, side, side, channels)).astype(np.uint8)
        return Split(images, np.zeros(count, np.int64))

    return ImageData("made up", split(4), split(2), split(2), labels, "0" * 64)


def digits() -> Teacher:
    return teachers.load(TeacherSection(spec="digits"), classes=10, image_shape=(8, 8, 1))


def test_the_facts_are_those_of_the_networks() -> None:
    graph, labels = small_float_graph(3), tuple("abcdefghij")
    pair = rules.pairing(
        graph, digits(), data(8, 1, labels), recipes.resolve(None, {"student.spec": "dscnn"})
    )
    assert pair.student_parameters == plan.parameters(graph) and pair.student_maps[0] == (16, 16)
    assert pair.teacher_parameters is not None and pair.teacher_parameters > 10_000
    assert pair.sees == Sees((8, 8, 1)) and pair.teacher_maps is not None and (8, 8) in pair.teacher_maps
    assert (pair.classes, pair.assisted, pair.inside) == (10, False, False)
    asked = {
        "distill.assistants": ["resnet:width=8"],
        "distill.losses": [{"name": "attention", "taps": ["auto"]}],
    }
    pair = rules.pairing(graph, digits(), data(8, 1, labels), recipes.resolve(None, asked))
    assert pair.assisted and pair.inside


def test_several_teachers_are_looked_at_one_by_one_and_nobody_is_not() -> None:
    graph, recipe = small_float_graph(3), recipes.resolve(None, {})
    images = data(16, 3, tuple("abcdefghij"))

    def logits(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((len(images_NHWC), 10), np.float32)

    one = Teacher("one", logits, "1", 30_000, sees=Sees((64, 64, 3)))
    two = Teacher("two", logits, "2", 70_000)
    both = Teacher("both", logits, "3", members=(one, two, two))
    said = rules.guidance(graph, both, images, recipe)
    assert len(said) == 2 and "enlarged to 64 x 64 for the teacher one" in said[0]
    assert said[1].startswith("the teacher two has 25 times the student's parameters")
    assert rules.guidance(graph, NOBODY, images, recipe) == ()


def test_normalisation_is_assumed_only_where_nobody_states_it() -> None:
    assert digits().sees == Sees((8, 8, 1))
    section = TeacherSection(spec="tests.victims:nothing", normalisation="unit")
    from edgedistill.teachers import _sees, preparation
    from edgedistill.teachers.loaded import Loaded

    loaded = Loaded("x", lambda x: x, b"")
    for normalisation, assumed in (("unit", ""), ("auto", "ImageNet's")):
        section = TeacherSection(spec="my_module:net", normalisation=normalisation, resolution=64)
        before, _ = preparation(loaded, section, 3)
        assert _sees(before, loaded, section, (32, 32, 3)) == Sees((64, 64, 3), assumed)
    own = TeacherSection(spec="t.safetensors@edgedistill.teachers.families:resnet56")
    before, _ = preparation(loaded, own, 3)
    assert _sees(before, loaded, own, (32, 32, 3)) == Sees((32, 32, 3))
