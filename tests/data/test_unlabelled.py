"""Images without labels: every form of source, nothing twice, nothing that is held out, clear mistakes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from edgedistill.data.types import ImageData
from edgedistill.errors import DataError
from tests.data.test_load import class_folders, load, picture, png


def flat(root: Path, numbers: range) -> Path:
    """A folder of images without class folders, one of them a folder deeper."""
    (root / "more").mkdir(parents=True)
    for i in numbers:
        (root / ("more" if i % 2 else ".") / f"{i}.png").write_bytes(png(i))
    (root / "notes.txt").write_text("no image")
    return root


def parquet(path: Path, numbers: range) -> Path:
    pq.write_table(pa.table({"image": [png(i) for i in numbers]}), path)
    return path


def npz(path: Path, numbers: range) -> Path:
    np.savez(path, x=np.stack([picture(i) for i in numbers]))
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """20 images of two classes: pictures 0 to 9 and 100 to 109."""
    return class_folders(tmp_path / "labelled")


def joined(labelled: Path, more: Path, **options: object) -> ImageData:
    return load(labelled, labelled.parent / "cache", unlabelled=str(more), **options)


@pytest.mark.parametrize("make", [flat, parquet, npz])
def test_images_without_labels_follow_the_training_examples(tmp_path: Path, labelled: Path, make) -> None:  # type: ignore[no-untyped-def]
    more = make(
        tmp_path / ("more.npz" if make is npz else "more.parquet" if make is parquet else "more"),
        range(500, 507),
    )
    plain, data = load(labelled, tmp_path / "cache"), joined(labelled, more)
    count = len(plain.train)
    assert len(data.train) == count + 7 and (data.train.labels[count:] == -1).all()
    np.testing.assert_array_equal(data.train.labels[:count], plain.train.labels)
    np.testing.assert_array_equal(data.train.images_NHWC[:count], plain.train.images_NHWC)
    expected = {picture(i).tobytes() for i in range(500, 507)}
    assert {image.tobytes() for image in data.train.images_NHWC[count:]} == expected
    for split in ("validation", "test"):
        np.testing.assert_array_equal(getattr(data, split).images_NHWC, getattr(plain, split).images_NHWC)
    assert data.fingerprint != plain.fingerprint and data.warnings == plain.warnings
    assert joined(labelled, more).fingerprint == data.fingerprint  # found, not decoded again


def test_what_the_data_set_holds_already_is_left_out(tmp_path: Path, labelled: Path) -> None:
    """Among it the test images: they stay unseen."""
    more = npz(tmp_path / "more.npz", range(0, 12))  # 10 of class cat, 2 new ones
    again = np.concatenate([np.load(more)["x"], picture(11)[None]])  # one of these twice
    np.savez(more, x=again)
    data = joined(labelled, more)
    assert int((data.train.labels == -1).sum()) == 2
    assert any("11 unlabelled images are in the data set already" in text for text in data.warnings)
    seen = {image.tobytes() for image in data.train.images_NHWC}
    assert not seen & {image.tobytes() for image in data.test.images_NHWC}


def test_labels_are_not_looked_for(tmp_path: Path, labelled: Path) -> None:
    more = class_folders(tmp_path / "classes", names=("bird",), start=700)
    assert int((joined(labelled, more).train.labels == -1).sum()) == 10


def test_images_are_brought_to_the_data_sets_size(tmp_path: Path, labelled: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(picture(1, (30, 20))).save(out, "PNG")  # grey
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.png").write_bytes(out.getvalue())
    data = joined(labelled, tmp_path / "more")
    assert data.train.images_NHWC.shape[1:] == (12, 12, 3) and data.train.labels[-1] == -1


def test_broken_images(tmp_path: Path, labelled: Path) -> None:
    more = flat(tmp_path / "more", range(500, 509))
    (more / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"(?s)1 of 10 images are broken \(broken\.png.*data\.unlabelled"):
        joined(labelled, more)
    data = joined(labelled, more, max_broken_share=0.2)
    assert int((data.train.labels == -1).sum()) == 9
    assert any("broken.png" in text and "left out" in text for text in data.warnings)


def test_sources_that_are_none(tmp_path: Path, labelled: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", z=np.zeros(3))
    for name, text in {
        "nowhere": r"no such file or folder.*data\.unlabelled.*a folder of images",
        "a.txt": r"this is no source of images.*labels are not looked for",
        "empty": r"there are no images",
        "a.parquet": r"no column of images",
        "a.npz": r"no array 'x' in the archive \(it holds: z\)",
    }.items():
        with pytest.raises(DataError, match=f"(?s){text}"):
            joined(labelled, tmp_path / name)
    with pytest.raises(DataError, match="every image is in the data set already"):
        joined(labelled, labelled)
