"""The folder of a model in C, built the way each kind of firmware project would build it.

ESP-IDF's and Zephyr's own build systems are not run here: their files are read by CMake with stubs of the
functions that those systems bring, and compared with the keys that their guides document.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgedistill.data import frontend as front_end
from edgedistill.errors import OutputError
from edgedistill.export import c
from edgedistill.export.c import project
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden
from edgedistill.ir.graph import Graph
from tests.export.c.compiled import WARNINGS, compile_c, metadata
from tests.graphs import Builder, random_input, small_integer_graph

HERE = Path(__file__).parent
PLAIN = tuple(flag for flag in WARNINGS if flag != "-std=c99")

TWO_MODELS = """
#include "left/examples/self_test/self_test.h"
#include "right/examples/self_test/self_test.h"

static int32_t arena[(EDGEDISTILL_LEFT_ARENA_BYTES + EDGEDISTILL_RIGHT_ARENA_BYTES) / 4];
static int8_t left[EDGEDISTILL_LEFT_OUTPUT_BYTES];
static int8_t right[EDGEDISTILL_RIGHT_OUTPUT_BYTES];

int main(void)
{
    return edgedistill_left_self_test(left, arena) * 4 + edgedistill_right_self_test(right, arena);
}
"""

USERS_PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(firmware C)
add_compile_options({flags})
add_subdirectory(left)
add_subdirectory(right)
add_executable(firmware main.c)
target_include_directories(firmware PRIVATE ${{CMAKE_CURRENT_SOURCE_DIR}})
target_link_libraries(firmware PRIVATE edgedistill_left edgedistill_right)
"""

CORTEX_M4 = """
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard")
set(CMAKE_EXE_LINKER_FLAGS_INIT "--specs=nosys.specs")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
"""


def keyword_graph() -> Graph:
    net = Builder("words", 0)
    x = net.input((1, front_end.FRAMES, front_end.BANDS, 1), name="features")
    net.dense(net.reshape(net.conv(x, 2, stride=(4, 4))), 3)
    return net.graph()


def sound(name: str) -> Metadata:
    plain = metadata(name, ("yes", "no", "silence"))
    return Metadata(
        plain.name, plain.description, plain.labels, 1 / 64, 0, "1.0", {"front_end": front_end.describe()}
    )


def folder_of(graph: Graph, meta: Metadata, folder: Path) -> Path:
    c.write(graph, meta, folder)
    project.write(graph, meta, golden.golden(graph, random_input(graph, 2)), folder)
    return folder


@pytest.fixture(scope="module")
def cmake() -> str:
    """The virtual environment's CMake, or the system's."""
    where = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("cmake", path=where)
    if found is None:
        pytest.skip("needs CMake (pip install cmake)")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (cc) on the PATH")
    return found


def needs(program: str, brings: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program} (apt-get install {brings})")
    return found


def done(*command: str | Path, cwd: Path | None = None) -> str:
    """What the command printed; fails the test with its own words."""
    ran = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, f"{command}: {ran.stdout[-2000:]}{ran.stderr[-4000:]}"
    return ran.stdout


def users_project(folder: Path, graph: Graph, left: Metadata, right: Metadata, flags: str) -> Path:
    folder_of(graph, left, folder / "left")
    folder_of(graph, right, folder / "right")
    (folder / "main.c").write_text(TWO_MODELS)
    (folder / "CMakeLists.txt").write_text(USERS_PROJECT.format(flags=flags))
    return folder


def test_equal_arguments_give_equal_files() -> None:
    graph, meta = small_integer_graph(2), metadata("left")
    vectors = golden.golden(graph, random_input(graph, 2))
    assert project.to_texts(graph, meta, vectors) == project.to_texts(graph, meta, vectors)
    assert all(
        text.endswith("\n") and "{{" not in text for text in project.to_texts(graph, meta, vectors).values()
    )


def test_the_weights_are_there_once(tmp_path: Path) -> None:
    folder = folder_of(small_integer_graph(2), metadata("left"), tmp_path)
    sources = {p.relative_to(folder).as_posix() for p in folder.rglob("*.c")}
    assert sources == {"edgedistill_left.c", "examples/example_main.c"}


def test_cmake_builds_and_runs_the_example(cmake: str, tmp_path: Path) -> None:
    folder = folder_of(keyword_graph(), sound("words"), tmp_path / "c")
    done(cmake, "-S", folder, "-B", tmp_path / "b", f"-DCMAKE_C_FLAGS={' '.join(PLAIN)}")
    done(cmake, "--build", tmp_path / "b")
    text = done(tmp_path / "b" / "edgedistill_words_example")
    assert re.fullmatch(
        r"(edgedistill_words, (golden input|made-up sound): right to the bit; (yes|no|silence), -?\d+\n){2}",
        text,
    )
    assert "100% tests passed" in done(Path(cmake).with_name("ctest"), "--test-dir", tmp_path / "b")


def test_two_keyword_models_in_a_users_project(cmake: str, tmp_path: Path) -> None:
    """``add_subdirectory`` twice: no name meets another, and no example is built."""
    folder = users_project(tmp_path, keyword_graph(), sound("left"), sound("right"), " ".join(PLAIN))
    done(cmake, "-S", folder, "-B", folder / "b")
    done(cmake, "--build", folder / "b")
    assert done(folder / "b" / "firmware") == ""
    assert not list((folder / "b").rglob("*_example"))


def test_cmake_cross_compiles_for_a_cortex_m4(cmake: str, tmp_path: Path) -> None:
    needs("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi")
    folder = users_project(
        tmp_path, small_integer_graph(2), metadata("left"), metadata("right"), " ".join(PLAIN)
    )
    (folder / "cortex-m4.cmake").write_text(CORTEX_M4)
    done(cmake, "-S", folder, "-B", folder / "b", f"-DCMAKE_TOOLCHAIN_FILE={folder / 'cortex-m4.cmake'}")
    done(cmake, "--build", folder / "b")
    program = next(p for p in (folder / "b").iterdir() if p.stem == "firmware")
    assert program.read_bytes()[18:20] == b"\x28\x00"  # e_machine of ELF: EM_ARM


def test_esp_idf_gets_the_sources_it_asks_for(cmake: str, tmp_path: Path) -> None:
    """With a stub of ``idf_component_register``; ESP-IDF itself is not run here."""
    folder_of(keyword_graph(), sound("words"), tmp_path / "c")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(stub NONE)\nset(ESP_PLATFORM 1)\n"
        'function(idf_component_register)\n  message(STATUS "component ${ARGV}")\nendfunction()\n'
        "add_subdirectory(c)\n"
    )
    text = done(cmake, "-S", tmp_path, "-B", tmp_path / "b")
    assert "component SRCS;edgedistill_words.c;frontend.c;INCLUDE_DIRS;." in text


def test_zephyr_gets_the_sources_it_asks_for(cmake: str, tmp_path: Path) -> None:
    """With stubs of Zephyr's functions that make libraries as CMake does; Zephyr itself is not run here."""
    for name in ("left", "right"):
        folder_of(keyword_graph(), sound(name), tmp_path / name)
    (tmp_path / "main.c").write_text(TWO_MODELS)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(stub C)\n"
        "macro(zephyr_library_named name)\n  add_library(${name} OBJECT)\n  set(current ${name})\n"
        "  set_property(GLOBAL APPEND PROPERTY all $<TARGET_OBJECTS:${name}>)\nendmacro()\n"
        "macro(zephyr_library_sources)\n  target_sources(${current} PRIVATE ${ARGV})\nendmacro()\n"
        "macro(zephyr_include_directories)\n  include_directories(${ARGV})\nendmacro()\n"
        "set(CONFIG_EDGEDISTILL_LEFT y)\nset(CONFIG_EDGEDISTILL_RIGHT y)\n"
        "add_subdirectory(left/zephyr)\nadd_subdirectory(right/zephyr)\n"
        "get_property(objects GLOBAL PROPERTY all)\nadd_executable(firmware main.c ${objects})\n"
        "target_include_directories(firmware PRIVATE . left right)\n"
    )
    done(cmake, "-S", tmp_path, "-B", tmp_path / "b")
    done(cmake, "--build", tmp_path / "b")
    assert done(tmp_path / "b" / "firmware") == ""


@pytest.mark.parametrize(
    ("prefix", "brings"), [("", "g++"), ("arm-none-eabi-", "gcc-arm-none-eabi libnewlib-arm-none-eabi")]
)
def test_an_arduino_sketch_compiles(prefix: str, brings: str, tmp_path: Path) -> None:
    """As Arduino does it: root sources, and the sketch behind Arduino.h (here a stub), one include path."""
    compiler, cpp = needs(f"{prefix}gcc", brings), needs(f"{prefix}g++", brings)
    folder = folder_of(keyword_graph(), sound("words"), tmp_path / "words")
    flags = ["-Wall", "-Wextra", "-Werror", "-Os", f"-I{folder}"]
    for source in ("edgedistill_words", "frontend"):
        done(compiler, *flags, "-std=gnu11", "-c", folder / f"{source}.c", "-o", tmp_path / f"{source}.o")
    sketch = folder / "examples" / "self_test" / "self_test.ino"
    cpp_flags = ["-std=gnu++11", "-x", "c++", "-include", HERE / "Arduino.h"]
    done(cpp, *flags, *cpp_flags, "-c", sketch, "-o", tmp_path / "sketch.o")
    if not prefix:
        main = tmp_path / "main.cpp"
        main.write_text("void setup(); void loop();\nint main() { setup(); loop(); }\n")
        done(
            cpp,
            main,
            *(tmp_path / f"{n}.o" for n in ("sketch", "edgedistill_words", "frontend")),
            "-o",
            tmp_path / "run",
        )
        text = done(tmp_path / "run")
        assert text.count("right to the bit") == 2 and "FAILED" not in text


@pytest.mark.parametrize(
    ("compiler", "brings"),
    [
        ("gcc", "gcc"),
        ("clang", "clang"),
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    ],
)
def test_no_compiler_warns(compiler: str, brings: str, tmp_path: Path) -> None:
    """C99 with all warnings, and the header and the self-test in C++."""
    path = needs(compiler, brings)
    folder = folder_of(keyword_graph(), sound("words"), tmp_path / "c")
    for source in ("edgedistill_words.c", "frontend.c", "examples/example_main.c"):
        done(path, *WARNINGS, "-O2", f"-I{folder}", "-c", folder / source, "-o", tmp_path / "x.o")
    (tmp_path / "app.cpp").write_text(
        '#include "examples/self_test/self_test.h"\n'
        "int run(int8_t *y, void *arena) { return edgedistill_words_sound_self_test(y, arena); }\n"
    )
    done(path, "-x", "c++", *PLAIN, f"-I{folder}", "-c", tmp_path / "app.cpp", "-o", tmp_path / "x.o")


def test_the_self_test_can_fail(tmp_path: Path) -> None:
    """A golden output that is one off, and a null pointer."""
    folder = folder_of(small_integer_graph(2), metadata("left"), tmp_path)
    test = folder / "examples" / "self_test" / "self_test.h"
    text = test.read_text()
    first = re.search(r"golden_output\[\w+\] = \{\s*(-?\d+)", text)
    assert first is not None
    value = int(first[1])
    test.write_text(text[: first.start(1)] + str(value + (1 if value < 127 else -1)) + text[first.end(1) :])
    (tmp_path / "main.c").write_text(
        '#include "examples/self_test/self_test.h"\n#include <stddef.h>\n'
        "static int32_t arena[EDGEDISTILL_LEFT_ARENA_BYTES / 4];\nint main(void)\n{\n"
        "    int8_t y[EDGEDISTILL_LEFT_OUTPUT_BYTES];\n"
        "    return edgedistill_left_self_test(y, arena) + 10 * edgedistill_left_self_test(y, NULL);\n}\n"
    )
    sources = [tmp_path / "main.c", folder / "edgedistill_left.c"]
    compile_c(tmp_path / "run", sources, [*WARNINGS, f"-I{folder}"])
    assert subprocess.run([tmp_path / "run"], timeout=10, check=False).returncode == 21


def test_library_properties_keep_the_specification(tmp_path: Path) -> None:
    """Arduino's library specification 1.5, rev. 2.2: its keys, names, categories, and one line for each."""
    meta = Metadata("left", "line one\nname=evil", (), 1 / 64, 0, "0.2.0.dev3")
    folder = folder_of(small_integer_graph(2), meta, tmp_path)
    rows = [line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines()]
    found = {key: value for key, value in rows}
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph"}
    required |= {"category", "url", "architectures"}
    optional = {"depends", "dot_a_linkage", "includes", "precompiled", "ldflags"}
    assert len(rows) == len(found) and required <= set(found) <= required | optional
    assert (
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.\-]*", found["name"]) and found["name"] == "edgedistill_left"
    )
    assert found["version"] == "0.2.0" and found["category"] == "Data Processing"
    assert (folder / found["includes"]).exists() and found["paragraph"] == "line one name=evil"
    assert not (folder / "src").exists() and not (folder / "utility").exists()  # the flat layout
    sketch = folder / "examples" / "self_test"
    assert (sketch / f"{sketch.name}.ino").exists() and not list(sketch.glob("*.c"))


def test_manifests_keep_their_documented_keys(tmp_path: Path) -> None:
    """Zephyr's module.yml and the idf_component.yml of Espressif's component manager."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML (it comes with transformers)")
    folder = folder_of(
        small_integer_graph(2), Metadata("left", 'a "quoted": text', (), 1 / 64, 0, "1.0"), tmp_path
    )
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    assert set(module) == {"name", "build"} and set(module["build"]) == {"cmake", "kconfig"}
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").exists()
    assert "config EDGEDISTILL_LEFT\n\tbool" in (folder / module["build"]["kconfig"]).read_text()
    component = yaml.safe_load((folder / "idf_component.yml").read_text())
    assert component == {"version": "1.0.0", "description": 'a "quoted": text'}


def test_the_made_up_clip_is_what_c_computes() -> None:
    wave = project.clip()
    assert wave.dtype == np.int16 and len(wave) == front_end.SAMPLES
    assert wave.min() < -9_900 and wave.max() > 9_900 and len(np.unique(front_end.features(wave[None]))) > 50


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    graph, meta = small_integer_graph(2), metadata("left")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="the files around the C files cannot be written"):
        project.write(graph, meta, golden.golden(graph, random_input(graph, 1)), tmp_path / "file")
