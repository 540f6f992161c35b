"""Packages of a finished model: complete, the same each time, and right to the bit where they can be run."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill import package, read
from edgedistill.errors import GateError, InputError, OutputError, UnknownNameError
from edgedistill.package import card, contract, golden_raw, manifest, mcu
from edgedistill.package.contract import ImageInput, SoundInput
from edgedistill.runners import aarch64
from tests.package.test_escape import HOSTILE

MODELS = Path(__file__).parents[2] / "models"
IMAGES, SOUND = MODELS / "cifar10-resnet8", MODELS / "speech-commands-dscnn"


@pytest.fixture(scope="module", params=[IMAGES, SOUND], ids=["images", "sound"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages of a model, once."""
    out = tmp_path_factory.mktemp("packages")
    package.package(request.param, ["raspberry-pi", "mcu"], out, known_as="demo")
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_the_contract_says_what_the_files_say() -> None:
    image, sound = contract.of(IMAGES), contract.of(SOUND)
    assert image.input == ImageInput(32, 32, 3, "RGB") and image.task == "image-classification"
    assert isinstance(sound.input, SoundInput) and sound.input.shape == (1, 49, 40, 1)
    assert image.labels[:2] == ("airplane", "automobile") and len(sound.labels) == 12
    file = read.read(IMAGES / "student.tflite").graph
    output = file.tensors[file.outputs[0]].quant
    assert output is not None and image.input_quant.zero_point == 0
    assert (image.output_quant.scale, image.output_quant.zero_point) == (output.scale[0], output.zero_point)
    assert [m.format for m in image.models] == ["tflite", "onnx"]
    assert {row.identical for row in image.runtimes("tflite")} == {50_000}
    assert image.licences == contract.Licences()


@pytest.mark.parametrize("lost", ["graph.npz", "golden.npz", "recipe.toml", "labels.txt", "expected.json"])
def test_a_folder_that_lacks_a_file_is_named(lost: str, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(IMAGES, folder)
    (folder / lost).unlink()
    with pytest.raises(InputError, match=f"there is no {lost}"):
        contract.of(folder)


def test_no_folder_no_model_and_a_label_too_few(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        contract.of(tmp_path / "x")
    folder = tmp_path / "m"
    shutil.copytree(IMAGES, folder)
    (folder / "labels.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="2 labels for 10 outputs"):
        contract.of(folder)
    shutil.copy(IMAGES / "labels.txt", folder / "labels.txt")
    for name in ("student.tflite", "student.onnx"):
        (folder / name).unlink()
    with pytest.raises(InputError, match="no int8 model"):
        contract.of(folder)


def test_licences_come_from_the_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(IMAGES, folder)
    recipe = (folder / "recipe.toml").read_text()
    changed = re.sub(r"(?m)^\[teacher\]$", '[teacher]\nlicence = "Apache-2.0 | MIT"', recipe)
    (folder / "recipe.toml").write_text(changed)
    (row,) = package.package(folder, ["mcu"], tmp_path / "out")
    assert contract.of(folder).licences.teacher == "Apache-2.0 | MIT"
    assert "Apache-2.0 \\| MIT" in (row.path / "MODEL_CARD.md").read_text()
    assert manifest.check(row.path).manifest.licence_teacher == "Apache-2.0 | MIT"


def test_a_second_run_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    folder = IMAGES if (made / "mcu" / "preprocess").exists() else SOUND
    package.package(folder, ["mcu"], tmp_path, known_as="demo")
    first = contents(tmp_path)
    package.package(folder, ["mcu"], tmp_path, known_as="demo")
    assert contents(tmp_path) == first == {f"mcu/{k}": v for k, v in contents(made / "mcu").items()}


def test_nothing_is_left_of_a_package_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package.package(IMAGES, ["mcu"], tmp_path)
    before = contents(tmp_path)

    def fails(*_: object) -> str:
        raise InputError("no")

    monkeypatch.setattr(card, "text", fails)
    with pytest.raises(InputError, match="no"):
        package.package(IMAGES, ["mcu"], tmp_path)
    assert contents(tmp_path) == before


def test_the_old_package_stays_where_the_new_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package.package(IMAGES, ["mcu"], tmp_path)
    before, move = contents(tmp_path), Path.replace

    def fails_for_the_new(self: Path, target: Path) -> Path:
        if self.name == "mcu" and target == tmp_path / "mcu":
            raise OSError(5, "Input/output error")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", fails_for_the_new)
    with pytest.raises(OutputError, match="Input/output error"):
        package.package(IMAGES, ["mcu"], tmp_path)
    assert contents(tmp_path) == before


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mcu").mkdir()
    (tmp_path / "mcu" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="not a package of edgedistill"):
        package.package(IMAGES, ["mcu"], tmp_path)
    assert contents(tmp_path) == {"mcu/mine.txt": b"x"}


def test_names_and_formats() -> None:
    with pytest.raises(UnknownNameError, match="did you mean raspberry-pi"):
        package.package_for("rasberry-pi")
    read = contract.of(IMAGES)
    with pytest.raises(InputError, match="needs coreml, and this build has tflite,onnx"):
        read.need("coreml", package="ios")


def test_altered_added_and_lost_files_are_found(tmp_path: Path) -> None:
    (row,) = package.package(IMAGES, ["mcu"], tmp_path)
    found = manifest.check(row.path)
    assert found.signature == "unsigned" and len(found.manifest.files) == row.files
    readme = (row.path / "README.md").read_bytes()
    (row.path / "README.md").write_bytes(readme + b" ")
    (row.path / "more.txt").write_text("")
    (row.path / "labels.json").unlink()
    with pytest.raises(GateError, match=r"labels.json is missing; more.txt was added; README.md was altered"):
        manifest.check(row.path)
    (row.path / "README.md").write_bytes(readme)
    text = (row.path / "manifest.json").read_text()
    (row.path / "manifest.json").write_text(text.replace('"demo"', '"x"').replace("[\n", "[ \n", 1))
    with pytest.raises(GateError, match="is of another manifest"):
        manifest.check(row.path)
    (row.path / "manifest.json").write_text(text.replace("README.md", "../README.md"))
    with pytest.raises(InputError, match=r"files.*leaves the folder"):
        manifest.check(row.path)


def test_signatures(tmp_path: Path) -> None:
    serialization = pytest.importorskip(
        "cryptography.hazmat.primitives.serialization", reason="the cryptography library is not installed"
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    paths = []
    for name in ("mine", "other"):
        key = Ed25519PrivateKey.generate()
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub"
        form = serialization.PrivateFormat.PKCS8
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        paths.append((private, public))
    (row,) = package.package(IMAGES, ["mcu"], tmp_path / "out", sign=paths[0][0])
    assert row.signed
    assert manifest.check(row.path).signature == "not checked"
    assert manifest.check(row.path, paths[0][1]).signature == "valid"
    with pytest.raises(GateError, match="signature is not of this manifest"):
        manifest.check(row.path, paths[1][1])
    (row.path / manifest.SIGNATURE).unlink()
    with pytest.raises(GateError, match="unsigned"):
        manifest.check(row.path, paths[0][1])
    with pytest.raises(InputError, match="not an Ed25519 private key"):
        package.package(IMAGES, ["mcu"], tmp_path / "out", sign=paths[0][1])


def test_golden_raw_inputs_are_what_they_say() -> None:
    for folder in (IMAGES, SOUND):
        read = contract.of(folder)
        cases = golden_raw.cases(read, folder)
        assert {case.made for case in cases} <= {"synthetic", "held-out: an input of golden.npz"}
        assert len({case.raw.shape for case in cases}) >= 7
        assert len({int(case.output.argmax()) for case in cases}) > 1, "they tell answers apart"
    held = golden_raw.cases(contract.of(IMAGES), IMAGES)[0]
    with np.load(IMAGES / "golden.npz") as file:
        assert np.array_equal(held.output, file["outputs"][0].ravel())


def test_labels_of_strangers_stay_data(tmp_path: Path) -> None:
    read = contract.of(IMAGES)
    hostile = replace(read, labels=HOSTILE)
    text = card.text(hostile, IMAGES)
    assert "<script>" not in text and "\u202e" not in text
    mcu.write(hostile, IMAGES, tmp_path)
    assert json.loads((tmp_path / "labels.json").read_text("ascii")) == list(HOSTILE)


def runs(made: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(made / "raspberry-pi" / "src")}
    command = [sys.executable, "-m", "demo_model", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=made)


def test_the_python_package_proves_itself_and_answers(made: Path) -> None:
    for runtime in ("litert", "onnxruntime"):
        ended = runs(made, "--self-test", "--json", "--runtime", runtime)
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout)
        assert (found["passed"], found["golden_inputs"]) == (True, 16)
        assert found["raw_inputs"] == found["files_decoded"] >= 8
    place = made / "raspberry-pi/src/demo_model/data/golden-raw"
    index = json.loads((place / golden_raw.INDEX).read_text())
    file = place / index["cases"][0]["file"]
    ended = runs(made, str(file), "--json", "--top", "1")
    (answer,) = json.loads(ended.stdout)["answers"]
    labels = json.loads((place.parent / "labels.json").read_text())
    assert answer["labels"][0]["label"] == labels[index["cases"][0]["label"]]
    ended = runs(made, str(place / golden_raw.INDEX))
    assert ended.returncode == 2 and "Traceback" not in ended.stderr


def test_the_self_test_sees_a_wrong_answer(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "raspberry-pi", tmp_path / "raspberry-pi")
    index = tmp_path / "raspberry-pi/src/demo_model/data/golden-raw" / golden_raw.INDEX
    told = json.loads(index.read_text())
    told["cases"][1]["output"][0] ^= 1
    index.write_text(json.dumps(told))
    ended = runs(tmp_path, "--self-test")
    assert ended.returncode == 1 and "another answer" in ended.stdout


COMPILERS = (("gcc", "g++", ()), ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", (aarch64.QEMU,)))


@pytest.mark.parametrize(("cc", "cxx", "under"), COMPILERS, ids=["here", "aarch64"])
def test_the_cpp_example_answers_as_the_readme_says(
    cc: str, cxx: str, under: tuple[str, ...], made: Path, tmp_path: Path
) -> None:
    for program in (cc, cxx, *under):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here")
    cpp, place = made / "raspberry-pi/cpp", made / "raspberry-pi/src/demo_model/data/golden-raw"
    sources = [*cpp.glob("*.c"), *(cpp / "student").glob("*.c")]
    include = [f"-I{cpp}", f"-I{cpp / 'student'}"]
    for source in sources:
        subprocess.run(
            [cc, "-std=c99", "-O1", "-Wall", "-Werror", *include, "-c", source], cwd=tmp_path, check=True
        )
    objects = [str(o) for o in tmp_path.glob("*.o")]
    link = [cxx, "-std=c++17", "-O1", "-Wall", "-Werror", "-static", *include, cpp / "predict.cpp", *objects]
    subprocess.run([*link, "-o", "predict"], cwd=tmp_path, check=True)
    cases = json.loads((place / golden_raw.INDEX).read_text())["cases"]
    for case in cases[-3:] if under else cases:
        shape = case["shape"] if case["rate_hz"] is None else [case["shape"][1], case["rate_hz"]]
        command = [*under, "./predict", str(place / case["raw"]), *map(str, shape)]
        out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert out == f"{case['label']}: {' '.join(map(str, case['output']))}\n", case["name"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc here")
def test_the_firmware_s_raw_self_test_passes(made: Path, tmp_path: Path) -> None:
    folder = made / "mcu"
    if not (folder / "preprocess").exists():
        assert (folder / "student" / "frontend.c").exists()
        return
    sources = [folder / "preprocess/raw_self_test.c", folder / "preprocess/preprocess.c"]
    sources += (folder / "student").glob("edgedistill_*.c")
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    include = [f"-I{folder / 'preprocess'}", f"-I{folder / 'student'}", "-DEDGEDISTILL_RAW_MAIN"]
    subprocess.run(["gcc", *flags, *include, *sources, "-o", "test"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "test"], capture_output=True, text=True, check=True).stdout
    assert out == "7 raw pictures: right to the bit\n"


def test_the_scratch_is_what_the_c_asks_for() -> None:
    want = ImageInput(32, 32, 3, "RGB")
    assert mcu.scratch(want, 1, 1) == 32 * (2 + 5) + 5 + 96
    assert mcu.scratch(want, 320, 640) == 32 * (2 + 23) + 23 + 96
