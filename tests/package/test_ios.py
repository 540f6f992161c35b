"""The Swift package: files where SwiftPM looks for them, Swift that parses, labels in data alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgedistill.bench.files import sha256_of
from edgedistill.errors import InputError
from edgedistill.package import contract, ios
from edgedistill.package.names import names
from tests.package import phones


@pytest.fixture(scope="module", params=["pictures", "sounds"])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    made = tmp_path_factory.mktemp("ios")
    source = {"pictures": phones.PICTURES, "sounds": phones.SOUNDS}[request.param]
    build = phones.with_coreml(source, made / request.param)
    out = made / "package"
    out.mkdir()
    notes = ios.write(contract.of(build), build, out)
    assert any(note.startswith("not run here: Xcode") for note in notes)
    return names(request.param).type, out


def test_the_swift_parses(package: tuple[str, Path]) -> None:
    tree_sitter = pytest.importorskip("tree_sitter", reason="needs tree-sitter and tree-sitter-swift")
    swift = pytest.importorskip("tree_sitter_swift", reason="needs tree-sitter and tree-sitter-swift")
    parser = tree_sitter.Parser(tree_sitter.Language(swift.language()))

    def wrong(text: bytes) -> list[tuple[int, int]]:
        return [tuple(node.start_point) for node in nodes(parser.parse(text).root_node) if bad(node)]

    assert wrong(b"func f( {") != []
    files = sorted(package[1].rglob("*.swift"))
    assert len(files) >= 8
    assert {file.name: wrong(file.read_bytes()) for file in files if wrong(file.read_bytes())} == {}


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from nodes(child)


def bad(node: Any) -> bool:
    return bool(node.type == "ERROR" or node.is_missing)


def test_files_are_where_swiftpm_looks_for_them(package: tuple[str, Path]) -> None:
    name, out = package
    resources = out / "Sources" / name / "Resources"
    assert (out / "Package.swift").read_text().startswith("// swift-tools-version: 5.9\n")
    assert (out / "Tests" / f"{name}Tests" / "StudentTests.swift").is_file()
    index = json.loads((resources / "student.json").read_text())
    assert index["models"]["coreml"]["sha256"] == sha256_of(resources / "student.mlpackage")


def test_the_readme_says_what_was_not_run_and_why_core_ml_does_not_scale(package: tuple[str, Path]) -> None:
    readme = (package[1] / "README.md").read_text(encoding="utf-8")
    assert "Not run here: Xcode" in readme and "may not give the same bits" in readme
    if package[0] == "PicturesStudent":
        assert "Core ML could scale pictures by itself" in readme


def test_labels_are_in_no_generated_text(tmp_path: Path) -> None:
    build = phones.with_coreml(phones.PICTURES, tmp_path / "build")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(InputError, match="a package for iOS needs coreml"):
        ios.write(phones.pictures(), phones.PICTURES, out)
    ios.write(replace(contract.of(build), name="hostile", labels=phones.HOSTILE), build, out)
    texts = phones.texts(out)
    for label in phones.HOSTILE:
        assert [path for path, text in texts.items() if label in text or label in path] == []
    index = json.loads((out / "Sources" / "HostileStudent" / "Resources" / "student.json").read_text())
    assert tuple(index["labels"]) == phones.HOSTILE
