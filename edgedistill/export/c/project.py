"""Makes a firmware library of a model's two C files for CMake, ESP-IDF, Zephyr and Arduino, with a self-test.

One folder is all four at once, with one copy of the weights:

- CMake: ``add_subdirectory``. ESP-IDF: the same CMakeLists.txt, which registers a component where
  ``ESP_PLATFORM`` is set.
- Zephyr: ``zephyr/module.yml`` makes a module of the folder above it (Zephyr's guide on modules, "Module yaml
  file description").
- Arduino: the flat layout of the library specification 1.5, rev. 2.2: without ``src/``, the sources of the
  root are compiled and no other folder's but ``utility``'s; ``examples/self_test`` is the sketch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import writing
from edgedistill.export.c import text
from edgedistill.export.c.model import FAMILIES
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden, interpret
from edgedistill.ir.golden import Golden
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family

if TYPE_CHECKING:
    from jinja2 import Environment

FILES: Mapping[str, str] = MappingProxyType(
    {
        "README.md": "README.md.j2",
        "CMakeLists.txt": "CMakeLists.txt.j2",
        "idf_component.yml": "idf_component.yml.j2",
        "library.properties": "library.properties.j2",
        "zephyr/module.yml": "module.yml.j2",
        "zephyr/CMakeLists.txt": "zephyr.txt.j2",
        "zephyr/Kconfig": "Kconfig.j2",
        "examples/example_main.c": "example_main.c.j2",
        "examples/self_test/self_test.h": "self_test.h.j2",
        "examples/self_test/self_test.ino": "self_test.ino.j2",
    }
)
"""Each file in the folder, and the template that it is made of."""

GOLDEN = "golden.npz"
"""Golden vectors of the C files, where they are not of family F as the build's own."""

PITCH, PERIOD = 512, 20_000  # of the self-test's clip: a sawtooth from 0 to 1 kHz, far from clipping


def to_texts(graph: Graph, meta: Metadata, vectors: Golden, family: Family = "F") -> dict[str, str]:
    """The files' texts by their path in the folder; equal arguments give equal texts.

    Args:
        vectors: of ``family``; the first input and its output become the self-test.
        family: of the C files.
    """
    name = text.symbol(meta)
    sound = meta.is_sound
    values: dict[str, str | int | bool] = {
        "name": name,
        "upper": name.upper(),
        "version": _three_numbers(meta.version),
        "description": text.comment(meta.description),
        "family": family,
        "arithmetic": FAMILIES[family],
        "labels": bool(meta.labels or graph.labels),
        "sound": sound,
        "golden_input": _numbers(vectors.inputs[0]),
        "golden_output": _numbers(vectors.outputs[0]),
        "golden_sound": _numbers(_sound_answer(graph, family)) if sound else "",
        "pitch": PITCH,
        "period": PERIOD,
    }
    return {path: _environment().get_template(file).render(values) for path, file in FILES.items()}


def write(graph: Graph, meta: Metadata, vectors: Golden, folder: Path, family: Family = "F") -> None:
    """Writes FILES around the two files of a model in ``folder``, and for sound the front end beside them.

    Args:
        vectors: of family F.
        family: of the C files. Where it is not F, what they answer to the same inputs lies beside them.

    Raises:
        OutputError: the files cannot be written.
    """
    if family != "F":
        vectors = golden.golden(graph, vectors.inputs, family)
        golden.save(vectors, folder / GOLDEN)
    with writing("the files around the C files", folder):
        for path, content in to_texts(graph, meta, vectors, family).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
        if meta.is_sound:
            from edgedistill.export import frontend  # it brings all of edgedistill.data along

            frontend.write(folder)


def clip() -> NDArray[np.int16]:
    """The made-up clip of the sound self-test, int16 [SAMPLES]."""
    from edgedistill.data import frontend as front_end

    n = np.arange(front_end.SAMPLES, dtype=np.int32)
    return (n * (n // PITCH) % PERIOD - PERIOD // 2).astype(np.int16)


def _sound_answer(graph: Graph, family: Family) -> NDArray[np.int8]:
    from edgedistill.data import frontend as front_end

    features = front_end.features(clip()[None]).astype(np.int16) - 128
    x = features.astype(np.int8).reshape(graph.tensors[graph.inputs[0]].shape)
    return np.asarray(interpret.run(graph, {graph.inputs[0]: x}, family)[graph.outputs[0]], np.int8)


def _numbers(values: NDArray[np.int8]) -> str:
    return text.lines([str(v) for v in values.reshape(-1).tolist()])


def _three_numbers(version: str) -> str:
    """``1.0`` and ``0.2.0.dev1`` as the three numbers that component managers want."""
    numbers = [*re.findall(r"\d+", version)[:3], "0", "0", "0"]
    return ".".join(numbers[:3])


@cache
def _environment() -> Environment:
    import jinja2

    folder = resources.files("edgedistill.export.c").joinpath("templates")
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=False,  # C and CMake, not HTML; every value is a number, an identifier or text.comment's
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
