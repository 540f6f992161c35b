"""data.load: every form of source, and what is said about sources that cannot be used."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from edgedistill import data
from edgedistill.data.types import ImageData
from edgedistill.errors import DataError, OutputError, UnknownNameError
from edgedistill.recipe import DataSection


def picture(number: int, shape: tuple[int, ...] = (12, 12, 3)) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, size=shape).astype(np.uint8)


def png(number: int, shape: tuple[int, ...] = (12, 12, 3)) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture(number, shape)).save(out, "PNG")
    return out.getvalue()


def class_folders(
    root: Path, names: tuple[str, ...] = ("cat", "dog"), count: int = 10, start: int = 0
) -> Path:
    for i, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for j in range(count):
            (root / name / f"{j:02}.png").write_bytes(png(start + 100 * i + j))
    return root


def table(path: Path, images: list[object], labels: list[object], names: list[str] | None = None) -> Path:
    made = pa.table({"image": images, "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(made, path)
    return path


def load(source: Path | str, cache: Path, seed: int = 0, trust: bool = False, **options: object) -> ImageData:
    section = DataSection.model_validate({"source": str(source), **options})
    return data.load(section, seed=seed, cache=cache, trust=trust)


def refused(source: Path | str, cache: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(source, cache, **options)
    assert caught.value.fix and caught.value.where
    return str(caught.value)


def rows(split: data.Split) -> set[bytes]:
    return {image.tobytes() for image in split.images_NHWC}


def test_digits_keep_their_size_and_split(tmp_path: Path) -> None:
    digits = load("digits", tmp_path)
    assert digits.image_shape == (8, 8, 1)
    assert [len(s) for s in (digits.train, digits.validation, digits.test)] == [1375, 153, 269]
    assert digits.labels == tuple("0123456789")
    assert int(digits.train.images_NHWC.max()) == 255
    assert digits.train.images_NHWC.dtype == np.uint8 and digits.train.labels.dtype == np.int64


def test_another_seed_moves_validation_but_not_test(tmp_path: Path) -> None:
    one, two = load("digits", tmp_path, seed=0), load("digits", tmp_path, seed=1)
    np.testing.assert_array_equal(one.test.images_NHWC, two.test.images_NHWC)
    assert rows(one.validation) != rows(two.validation)
    assert one.fingerprint != two.fingerprint


def test_splits_are_disjoint_and_hold_every_class(tmp_path: Path) -> None:
    digits = load("digits", tmp_path)
    train, validation, test = rows(digits.train), rows(digits.validation), rows(digits.test)
    assert not train & validation and not train & test and not validation & test
    for split in (digits.train, digits.validation, digits.test):
        assert set(split.labels.tolist()) == set(range(10))


def test_folder_of_class_folders_keeps_pixels_and_labels(tmp_path: Path) -> None:
    found = load(class_folders(tmp_path / "pets"), tmp_path / "cache")
    assert found.labels == ("cat", "dog") and found.name == "pets"
    known = {picture(100 * i + j).tobytes(): i for i in range(2) for j in range(10)}
    for split in (found.train, found.validation, found.test):
        for image, label in zip(split.images_NHWC, split.labels, strict=True):
            assert known[image.tobytes()] == label
    assert sum(map(len, (found.train, found.validation, found.test))) == 20


def test_train_and_test_folders_are_recognised(tmp_path: Path) -> None:
    class_folders(tmp_path / "pets" / "train")
    class_folders(tmp_path / "pets" / "test", count=4, start=5000)
    found = load(tmp_path / "pets", tmp_path / "cache")
    assert len(found.test) == 8 and len(found.train) + len(found.validation) == 20
    assert rows(found.test) == {picture(5000 + 100 * i + j).tobytes() for i in range(2) for j in range(4)}


def test_every_image_format_is_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "all" / name).mkdir(parents=True)
        for i, suffix in enumerate(("jpg", "jpeg", "png", "webp", "bmp", "gif")):
            Image.fromarray(picture(i + 10 * (name == "b"))).save(tmp_path / "all" / name / f"{i}.{suffix}")
    (tmp_path / "all" / "a" / "notes.txt").write_text("x")
    found = load(tmp_path / "all", tmp_path / "cache")
    assert sum(map(len, (found.train, found.validation, found.test))) == 12
    assert found.warnings[0].startswith("1 files are no images")


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "turned", count=4)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right to see it upright
    for name in ("cat", "dog"):
        for j in range(4):
            image = Image.fromarray(picture(j + 50 * (name == "dog"), (12, 20, 3)))
            image.save(root / name / f"{j:02}.png", exif=exif)
    found = load(root, tmp_path / "cache")
    assert found.image_shape == (20, 12, 3)
    upright = {np.rot90(picture(j + 50 * i, (12, 20, 3)), -1).tobytes() for i in range(2) for j in range(4)}
    assert rows(found.train) <= upright


def test_grey_images_stay_grey_and_one_colour_image_makes_all_rgb(tmp_path: Path) -> None:
    root = tmp_path / "grey"
    for i, name in enumerate(("a", "b")):
        (root / name).mkdir(parents=True)
        for j in range(5):
            (root / name / f"{j}.png").write_bytes(png(10 * i + j, (9, 9)))
    assert load(root, tmp_path / "cache").image_shape == (9, 9, 1)
    (root / "a" / "5.png").write_bytes(png(77, (9, 9, 3)))
    assert load(root, tmp_path / "cache").image_shape == (9, 9, 3)


def test_different_sizes_get_the_median_side_and_a_warning(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "sizes", count=4)
    (root / "cat" / "00.png").write_bytes(png(1, (40, 60, 3)))
    found = load(root, tmp_path / "cache")
    assert found.image_shape == (16, 16, 3)  # 12 lies between 8 and 16; Python rounds 1.5 to 2
    assert "2 different sizes" in found.warnings[0] and "data.resolution" in found.warnings[0]
    chosen = load(root, tmp_path / "cache", resolution=10)
    assert chosen.image_shape == (10, 10, 3) and not chosen.warnings


def test_resolution_crops_the_centre(tmp_path: Path) -> None:
    image = np.zeros((8, 24, 3), dtype=np.uint8)
    image[:, 8:16] = 200  # only the middle square is bright
    x = np.repeat(image[None], 8, axis=0)
    x[:, 0, 0, 0] = np.arange(8)  # distinct, outside the crop
    np.savez(tmp_path / "wide.npz", x=x, y=np.arange(8) % 2)
    found = load(tmp_path / "wide.npz", tmp_path / "cache", resolution=8)
    assert (found.train.images_NHWC == 200).all()


@pytest.mark.parametrize("struct", [True, False])
def test_parquet_folder_with_names(tmp_path: Path, struct: bool) -> None:
    def cell(number: int) -> object:
        return {"bytes": png(number), "path": None} if struct else png(number)

    table(
        tmp_path / "train-0.parquet", [cell(i) for i in range(20)], [i % 2 for i in range(20)], ["no", "yes"]
    )
    table(
        tmp_path / "test-0.parquet",
        [cell(i) for i in range(50, 56)],
        [i % 2 for i in range(6)],
        ["no", "yes"],
    )
    found = load(tmp_path, tmp_path / "cache")
    assert found.labels == ("no", "yes")
    np.testing.assert_array_equal(found.test.images_NHWC, np.stack([picture(i) for i in range(50, 56)]))
    assert found.test.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_one_parquet_file_with_text_labels(tmp_path: Path) -> None:
    file = table(
        tmp_path / "one.parquet", [png(i) for i in range(12)], ["b" if i % 2 else "a" for i in range(12)]
    )
    found = load(file, tmp_path / "cache")
    assert found.labels == ("a", "b") and sum(map(len, (found.train, found.validation, found.test))) == 12


def test_npz_with_test_arrays_and_float_pixels(tmp_path: Path) -> None:
    x = np.stack([picture(i, (6, 6, 3)) for i in range(12)])
    np.savez(tmp_path / "a.npz", x=x / 255.0, y=np.arange(12) % 3, x_test=x[:3] // 2, y_test=[0, 1, 2])
    found = load(tmp_path / "a.npz", tmp_path / "cache")
    assert rows(found.train) | rows(found.validation) == {image.tobytes() for image in x}
    np.testing.assert_array_equal(found.test.images_NHWC, x[:3] // 2)


def test_npz_channels_first_is_transposed(tmp_path: Path) -> None:
    x = np.stack([picture(i, (3, 6, 8)) for i in range(8)])
    np.savez(tmp_path / "a.npz", images=x, labels=np.arange(8) % 2)
    found = load(tmp_path / "a.npz", tmp_path / "cache")
    assert found.image_shape == (6, 8, 3)
    assert rows(found.train) <= {np.ascontiguousarray(i.transpose(1, 2, 0)).tobytes() for i in x}


def test_python_arrays_and_dataset(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "def arrays():\n"
        "    r = np.random.default_rng(0)\n"
        "    return r.integers(0, 256, (12, 5, 5), dtype=np.uint8), np.arange(12) % 2\n"
        "class Set:\n"
        "    classes = ['left', 'right']\n"
        "    def __len__(self): return 12\n"
        "    def __getitem__(self, i):\n"
        "        return np.random.default_rng(i).random((3, 5, 5), dtype=np.float32), i % 2\n"
        "def number(): return 7\n"
        "def fails(): raise KeyError('lost')\n"
    )
    assert load(f"{file}:arrays", tmp_path / "cache").image_shape == (5, 5, 1)
    found = load(f"{file}:Set", tmp_path / "cache")
    assert found.image_shape == (5, 5, 3) and found.labels == ("left", "right")
    assert "it returned a int" in refused(f"{file}:number", tmp_path)
    assert "calling it failed: KeyError: 'lost'" in refused(f"{file}:fails", tmp_path)
    assert "has no 'nothing'" in refused(f"{file}:nothing", tmp_path)


def test_second_load_reads_the_cache_and_a_changed_file_does_not(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets")
    calls: list[int] = []
    section = DataSection(source=str(root))
    first = data.load(section, seed=0, cache=tmp_path / "c", progress=lambda done, total: calls.append(done))
    assert calls
    calls.clear()
    again = data.load(section, seed=0, cache=tmp_path / "c", progress=lambda done, total: calls.append(done))
    assert (
        not calls
        and again.fingerprint == first.fingerprint
        and isinstance(again.train.images_NHWC, np.memmap)
    )
    (root / "cat" / "00.png").write_bytes(png(999, (12, 12, 3)) + b"changed")
    changed = data.load(section, seed=0, cache=tmp_path / "c")
    assert changed.fingerprint != first.fingerprint
    assert not list((tmp_path / "c" / "data").glob(".writing-*"))


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets")
    first = rows(load(root, tmp_path / "c").train)
    kept = next((tmp_path / "c" / "data").iterdir())
    (kept / "train.npy").write_bytes(b"short")
    assert rows(load(root, tmp_path / "c").train) == first


def test_limit_is_honoured_per_class(tmp_path: Path) -> None:
    found = load("digits", tmp_path, limit=100)
    assert len(found.train) + len(found.validation) == 100 and len(found.test) == 269
    counts = np.bincount(np.concatenate([found.train.labels, found.validation.labels]))
    assert counts.min() >= 9 and counts.max() <= 11
    assert "fewer than 2 images for each of 10 classes" in refused("digits", tmp_path, limit=12)


def test_copies_of_an_image_do_not_straddle_splits(tmp_path: Path) -> None:
    x = np.stack([picture(i // 4, (6, 6, 3)) for i in range(80)])  # each image four times
    np.savez(tmp_path / "a.npz", x=x, y=(np.arange(80) // 4) % 2)
    found = load(tmp_path / "a.npz", tmp_path / "cache")
    train, validation, test = rows(found.train), rows(found.validation), rows(found.test)
    assert not train & validation and not train & test and not validation & test
    assert len(found.train) == 4 * len(train)


def test_images_shared_by_train_and_test_are_counted_and_left_out(tmp_path: Path) -> None:
    x = np.stack([picture(i, (6, 6, 3)) for i in range(20)])
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2, x_test=x[:3], y_test=[0, 1, 0])
    found = load(tmp_path / "a.npz", tmp_path / "cache")
    assert "3 images are in both the training and the test images" in found.warnings[0]
    assert not rows(found.test) & (rows(found.train) | rows(found.validation))


def test_separate_test_source_is_matched_by_name(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", ("ant", "bee", "cow"))
    class_folders(tmp_path / "held", ("bee", "cow"), count=3, start=5000)
    found = load(tmp_path / "train", tmp_path / "cache", test=str(tmp_path / "held"))
    assert sorted(found.test.labels.tolist()) == [1, 1, 1, 2, 2, 2]
    class_folders(tmp_path / "odd", ("bee", "elk"))
    assert "classes that the training source lacks: elk" in refused(
        tmp_path / "train", tmp_path / "cache", test=str(tmp_path / "odd")
    )


def test_broken_images_are_named_and_skipped_or_refused(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets")
    (root / "cat" / "03.png").write_bytes(png(3)[:200])  # the header is whole, the pixels are cut off
    (root / "dog" / "04.png").write_bytes(b"no picture")
    (root / "dog" / "05.png").write_bytes(b"")
    found = load(root, tmp_path / "cache", max_broken_share=0.2)
    assert sum(map(len, (found.train, found.validation, found.test))) == 17
    assert "3 of 20 images are broken" in found.warnings[-1]
    for name in ("cat/03.png", "dog/04.png: not an image", "dog/05.png: empty file"):
        assert name in found.warnings[-1]
    text = refused(root, tmp_path / "cache")
    assert (
        "of 20 images are broken" in text and "dog/04.png" in text and "data.max_broken_share = 0.01" in text
    )


def test_a_huge_image_counts_as_broken(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets")
    Image.new("1", (9000, 9000)).save(root / "cat" / "00.png")
    found = load(root, tmp_path / "cache", max_broken_share=0.1)
    assert "cat/00.png: 9000x9000 is more than 64 Mpx" in found.warnings[-1]


def test_no_such_path(tmp_path: Path) -> None:
    assert "no such file or folder" in refused(tmp_path / "nowhere", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean digits"):
        load("digitz", tmp_path)


def test_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in refused(tmp_path / "empty", tmp_path)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "1.png").write_bytes(png(1))
    assert "no class folders" in refused(tmp_path / "flat", tmp_path)
    (tmp_path / "hollow" / "cat").mkdir(parents=True)
    assert "no image files in the 1 class folders" in refused(tmp_path / "hollow", tmp_path)


def test_too_few_classes_or_images(tmp_path: Path) -> None:
    assert "only one class: cat" in refused(class_folders(tmp_path / "one", ("cat",)), tmp_path / "c")
    root = class_folders(tmp_path / "few")
    (root / "elk").mkdir()
    (root / "elk" / "1.png").write_bytes(png(1))
    text = refused(root, tmp_path / "c")
    assert "class 'elk' has 1 image(s), at least 3 are needed" in text
    (root / "fox").mkdir()
    assert "2 classes have fewer than 3 images: elk (1), fox (0)" in refused(root, tmp_path / "c")


def test_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    assert "a .csv is not a known kind of data" in refused(tmp_path / "a.csv", tmp_path)


def test_parquet_problems(tmp_path: Path) -> None:
    images: list[object] = [png(i) for i in range(8)]
    numbers: list[object] = [i % 2 for i in range(8)]
    file = table(tmp_path / "a.parquet", images, [*numbers[:7], 5], ["no", "yes"])
    assert "labels out of range: 5" in refused(file, tmp_path) and "2 class names" in refused(file, tmp_path)
    file = table(tmp_path / "b.parquet", images, [*numbers[:7], -1], ["no", "yes"])
    assert "labels out of range: -1" in refused(file, tmp_path)
    file = table(tmp_path / "c.parquet", images, [*numbers[:7], None])
    assert "1 of 8 rows have no label" in refused(file, tmp_path)
    pq.write_table(pa.table({"image": images}), tmp_path / "d.parquet")
    assert "no column of labels among: image" in refused(tmp_path / "d.parquet", tmp_path)
    pq.write_table(pa.table({"label": numbers}), tmp_path / "e.parquet")
    assert "no column of images among: label" in refused(tmp_path / "e.parquet", tmp_path)
    (tmp_path / "f.parquet").write_bytes(b"PAR1 and nothing")
    assert "not a readable parquet file" in refused(tmp_path / "f.parquet", tmp_path)
    file = table(tmp_path / "g.parquet", [1, 2, 3, 4, 5, 6, 7, 8], numbers)
    assert "images are stored as int" in refused(file, tmp_path)


def test_npz_problems(tmp_path: Path) -> None:
    file, x, y = tmp_path / "a.npz", np.zeros((8, 4, 4, 3)), np.arange(8) % 2
    broken = x.copy()
    broken[2, 0, 0, 0] = np.nan
    cases: list[tuple[dict[str, object], str]] = [
        ({"x": broken, "y": y}, "1 of 8 images hold NaN or infinity"),
        ({"x": x - 1, "y": y}, "pixel values run from -1 to -1"),
        ({"x": x, "y": y[:5]}, "8 images but labels of shape [5]"),
        ({"x": x, "y": y - 1}, "labels out of range: -1"),
        ({"x": x, "y": y + 0.5}, "labels out of range: 0.5"),
        ({"x": x, "y": np.full(8, np.nan)}, "no class number"),
        ({"x": x}, "no array 'y' in the archive (it holds: x)"),
        ({"y": y}, "no array 'x' in the archive"),
        ({"x": np.zeros((8, 16)), "y": y}, "images have shape [8, 16]"),
        ({"x": np.zeros((8, 4, 4, 5)), "y": y}, "images have shape [8, 4, 4, 5]"),
        ({"x": x[:0], "y": y[:0]}, "no training images"),
    ]
    for arrays, text in cases:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        assert text in refused(file, tmp_path / "c")
    file.write_bytes(b"PK nothing")
    assert "not a NumPy archive" in refused(file, tmp_path / "c")


def test_pickled_arrays_need_trust(tmp_path: Path) -> None:
    images = np.empty(8, dtype=object)
    images[:] = [picture(i, (4, 4)) for i in range(8)]
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(8) % 2)
    text = refused(tmp_path / "a.npz", tmp_path)
    assert "pickled Python objects" in text and "--trust" in text
    assert "images have shape [8]" in refused(tmp_path / "a.npz", tmp_path, trust=True)


def test_module_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no module 'nowhere_at_all'" in refused("nowhere_at_all:make", tmp_path)


def test_unwritable_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="the cache cannot be written"):
        load("digits", tmp_path / "file")


def test_sources_table_names_every_kind() -> None:
    assert list(data.SOURCES) == ["digits", "synthetic", "folder", "sound", "parquet", "npz", "python"]
