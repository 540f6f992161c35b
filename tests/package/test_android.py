"""The Android module: files where Gradle looks for them, versions in one place, labels in data alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgedistill.bench.files import sha256_of
from edgedistill.errors import InputError
from edgedistill.package import android
from tests.package import phones


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("module")
    notes = android.write(phones.pictures("My App (v2)"), phones.PICTURES, out)
    assert any(note.startswith("not run here: Gradle") for note in notes)
    return out


def test_files_are_where_gradle_looks_for_them(module: Path) -> None:
    source = module / "my_app_v2_student" / "src"
    kotlin = "kotlin/edgedistill/my_app_v2_student"
    for path in (
        f"main/{kotlin}/Student.kt",
        f"litert/{kotlin}/LiteRt.kt",
        f"onnxruntime/{kotlin}/OnnxRuntime.kt",
        f"androidTestLitert/{kotlin}/LiteRtSelfTest.kt",
        f"androidTestOnnxruntime/{kotlin}/OnnxRuntimeSelfTest.kt",
        "main/assets/my_app_v2_student/student.json",
        "litert/assets/my_app_v2_student/student.tflite",
        "onnxruntime/assets/my_app_v2_student/student.onnx",
    ):
        assert (source / path).is_file(), path
    assert "package edgedistill.my_app_v2_student\n" in (source / f"main/{kotlin}/Student.kt").read_text()
    build = (module / "my_app_v2_student" / "build.gradle.kts").read_text()
    assert 'namespace = "edgedistill.my_app_v2_student"' in build
    assert 'noCompress += listOf("tflite", "onnx")' in build


def test_the_index_names_the_models_as_they_were_built(module: Path) -> None:
    index = json.loads(
        (module / "my_app_v2_student/src/main/assets/my_app_v2_student/student.json").read_text()
    )
    assert tuple(index["labels"]) == phones.HOSTILE
    assert index["models"] == {
        "tflite": {"file": "student.tflite", "sha256": sha256_of(phones.PICTURES / "student.tflite")},
        "onnx": {"file": "student.onnx", "sha256": sha256_of(phones.PICTURES / "student.onnx")},
    }


def test_versions_are_in_one_place(module: Path) -> None:
    texts = phones.texts(module)
    for version in (android.VERSIONS["agp"], android.VERSIONS["kotlin"]):
        holding = [path for path, text in texts.items() if f'"{version}"' in text]
        assert holding == ["settings.gradle.kts"]
    for runtime in android.RUNTIMES:
        assert (
            f'"{runtime.flavour}Implementation"("{runtime.artifact}")'
            in texts["my_app_v2_student/build.gradle.kts"]
        )
        assert (
            f"-keep class {runtime.java_package}.** {{ *; }}" in texts["my_app_v2_student/consumer-rules.pro"]
        )


def test_labels_are_in_no_generated_text_and_no_file_name(module: Path) -> None:
    texts = phones.texts(module)
    for label in phones.HOSTILE:
        assert [path for path, text in texts.items() if label in text or label in path] == []


def test_the_readme_has_the_lines_for_an_app(module: Path) -> None:
    readme = (module / "README.md").read_text(encoding="utf-8")
    assert 'include(":my_app_v2_student")' in readme
    assert 'missingDimensionStrategy("runtime", "litert") // or "onnxruntime"' in readme
    assert "import edgedistill.my_app_v2_student.LiteRt\n" in readme
    assert "may not give the same bits" in readme and "Not run here" in readme


def test_a_build_with_onnx_alone_has_that_runtime_alone(tmp_path: Path) -> None:
    contract = phones.pictures()
    only = replace(contract, models=tuple(m for m in contract.models if m.format == "onnx"))
    android.write(only, phones.PICTURES, tmp_path)
    sets = sorted(folder.name for folder in (tmp_path / "pictures_student" / "src").iterdir())
    assert sets == ["androidTestOnnxruntime", "main", "onnxruntime"]
    assert "LiteRt" not in (tmp_path / "README.md").read_text()


def test_a_build_without_both_formats_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a package for Android needs tflite or onnx"):
        android.write(replace(phones.pictures(), models=()), phones.PICTURES, tmp_path)


def test_the_same_build_gives_the_same_bytes(module: Path, tmp_path: Path) -> None:
    android.write(phones.pictures("My App (v2)"), phones.PICTURES, tmp_path)
    assert sha256_of(tmp_path) == sha256_of(module)


def test_a_hostile_name_of_a_build_stays_one_line_of_text(tmp_path: Path) -> None:
    android.write(phones.pictures("in\n## ${x} <script>"), phones.PICTURES, tmp_path)
    assert (tmp_path / "in_x_script_student" / "build.gradle.kts").is_file()
    texts = phones.texts(tmp_path)
    assert [path for path, text in texts.items() if "<script>" in text or "${x}" in text] == []
    assert texts["README.md"].splitlines()[0].endswith(" for Android")
