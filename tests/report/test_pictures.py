"""The strips of synthetic images: the pixels, the order, and what the page says."""

import base64
import io

import numpy as np
from PIL import Image

from edgedistill.record import BuildRecord
from edgedistill.report.html import render
from edgedistill.report.pictures import COLUMNS, strips


def test_each_class_has_a_strip_of_its_images() -> None:
    images = np.random.default_rng(0).integers(0, 255, size=(50, 8, 6, 3), dtype=np.uint8)
    labels = np.arange(50) % 2 * 2  # classes 0 and 2
    made = strips(images, labels, ("cat", "dog", "<owl>"))
    assert [(s.label, s.images) for s in made] == [("cat", COLUMNS), ("<owl>", COLUMNS)]
    png = base64.b64decode(made[1].uri.removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    assert pixels.shape == (8, 20 * 8 - 2, 3)
    np.testing.assert_array_equal(pixels[:, 8:14], images[labels == 2][1])
    assert (pixels[:, 6:8] == 255).all()


def test_the_page_shows_them_and_says_what_was_tested(record: BuildRecord) -> None:
    made = strips(np.zeros((3, 4, 4, 1), np.uint8), np.array([0, 0, 1]), ("<owl>", "cat"))
    recipe = {**record.recipe, "data": {"source": "synthetic"}}
    page = render(record.model_copy(update={"recipe": recipe}), made)
    assert page.count('<img src="data:image/png;base64,') == 2 and "&lt;owl&gt;" in page
    assert "no real one was read" in page and "synthetic images as its teacher does" in page
    tested = render(
        record.model_copy(update={"recipe": {"data": {"source": "synthetic", "test": "t"}}}), made
    )
    assert "test images right" in tested and "synthetic images as its teacher" not in tested
    assert "Synthetic images" not in render(record)
