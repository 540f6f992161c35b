"""A trained student as a teacher."""

import numpy as np

from edgedistill.distill.evaluate import logits
from edgedistill.distill.pupil import as_teacher
from tests.distill.test_loop import student, toy


def test_a_student_as_teacher_answers_as_itself() -> None:
    net, images = student(), toy().test.images_NHWC[:7]
    made = as_teacher(net, "resnet:width=4")
    np.testing.assert_allclose(made.logits(images), logits(net, images), rtol=1e-4, atol=1e-5)
    assert made.inside is not None and "blocks.0" in made.inside(images, None).features
    assert made.fingerprint == as_teacher(student(), "resnet:width=4").fingerprint
    assert made.fingerprint != as_teacher(student(), "resnet:width=5").fingerprint
