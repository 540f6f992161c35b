"""A build writes its target's package, and says nothing where there is none."""

from pathlib import Path

import pytest

from edgedistill import package, target
from edgedistill.errors import InputError, OutputError, UnknownNameError
from edgedistill.package import built
from edgedistill.sections import PackageSection, Recipe

MODEL = Path(__file__).parents[2] / "models" / "cifar10-resnet8"


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("android-arm64", "android"),
        ("iphone-a17-pro", "ios"),
        ("raspberry-pi-zero-2w", "raspberry-pi"),
        ("jetson-orin-nano", "raspberry-pi"),
        ("cortex-m4", "mcu"),
        ("rp2040-pico", "mcu"),
        ("esp32-s3", "mcu"),
    ],
)
def test_targets_have_the_package_that_suits_them(device: str, name: str) -> None:
    assert package.suited(target.load(device)) == name


def copied(tmp_path: Path) -> Path:
    for file in MODEL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_the_target_s_own_a_chosen_one_and_none(tmp_path: Path) -> None:
    folder, board = copied(tmp_path), target.load("raspberry-pi-4")
    assert built.write(folder, board, Recipe(package=PackageSection(write=False))) == ()
    assert not (folder / "package").exists()
    (note,) = built.write(folder, board, Recipe())
    assert note.startswith("package/raspberry-pi: ") and "--self-test" in note
    assert (folder / "package/raspberry-pi/src/raspberry_pi_4_model/predict.py").exists()
    (note,) = built.write(folder, board, Recipe(package=PackageSection(names=("mcu",))))
    assert note.startswith("package/mcu: ")
    with pytest.raises(UnknownNameError, match="there is no package named 'pie'"):
        built.write(folder, board, Recipe(package=PackageSection(names=("pie",))))


def test_no_format_is_silent_and_no_image_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, board = copied(tmp_path), target.load("raspberry-pi-4")

    def fails(*_: object, **__: object) -> None:
        raise InputError("this is no image")

    monkeypatch.setattr(package, "package", fails)
    assert built.write(folder, board, Recipe()) == ("package/raspberry-pi was not written: this is no image",)
    for name in ("student.tflite", "student.onnx"):
        (folder / name).unlink()
    assert built.write(folder, board, Recipe()) == ()


def test_a_recipe_without_packages_is_written_as_before() -> None:
    from edgedistill import recipe

    assert not {"package", "licence"} & set(
        recipe.to_toml(Recipe()).replace("[", " ").replace("]", " ").split()
    )


def test_a_package_that_nobody_named_ends_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise OutputError("no room", where="the disk")

    monkeypatch.setattr(package, "package", refuse)
    (tmp_path / "student.tflite").touch()
    phone = target.load("android-arm64")
    assert built.write(tmp_path, phone, Recipe()) == ("package/android was not written: no room",)
    named = Recipe.model_validate({"package": {"names": ["android"]}})
    with pytest.raises(OutputError, match="no room"):
        built.write(tmp_path, phone, named)
