"""Hostile texts stay texts: what a language's own parser reads back is what went in."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.package import escape

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOSTILE = (
    'a"; system("rm -rf /"); "',
    "line\nbreak\r\u2028and\u2029others\t\0",
    "</script><script>alert(1)</script>&amp;",
    "\u202egnp.exe\u202c \u05e9\u05dc\u05d5\u05dd",
    "\U0001f600 \u200d \ufeff",
    "${System.exit(1)} $name",
    "\\(exit(1)) \\u0022 \\",
    "what??/ ??= ??'",
    "'single' `back` %s %n {{ 7 * 7 }} {% raw %}",
    "| a | b |\n# heading [link](javascript:alert)",
)
TEXT = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(HOSTILE))


@given(TEXT)
def test_json_javascript_and_kotlin_give_the_text_back_in_ascii(text: str) -> None:
    for written in (escape.json_text(text), escape.kotlin(text)):
        assert json.loads(written) == text
        assert written.isascii() and written.isprintable() and "<" not in written
    assert "$" not in escape.kotlin(text)


@given(TEXT)
def test_toml_gives_the_text_back(text: str) -> None:
    assert tomllib.loads(f"a = {escape.toml(text)}") == {"a": text}


@given(TEXT)
def test_swift_starts_no_interpolation_and_ends_where_it_should(text: str) -> None:
    written = escape.swift(text)
    assert written.isascii() and written.isprintable() and written.count('"') == 2
    read, rest = "", written[1:-1]
    while rest:
        if rest.startswith("\\u{"):
            code, _, rest = rest[3:].partition("}")
            read += chr(int(code, 16))
        else:
            assert rest[0] != "\\"
            read, rest = read + rest[0], rest[1:]
    assert read == text


@given(TEXT)
def test_c_has_no_trigraph_and_gives_the_bytes_back(text: str) -> None:
    written = escape.c(text)
    assert written.isascii() and written.isprintable() and "?" not in written and written.count('"') == 2
    read, rest = b"", written[1:-1]
    while rest:
        if rest[0] == "\\":
            read, rest = read + bytes([int(rest[1:4], 8)]), rest[4:]
        else:
            read, rest = read + rest[0].encode(), rest[1:]
    assert read == text.encode()


def test_half_a_surrogate_pair_is_the_replacement_character_in_c() -> None:
    assert escape.c("a\ud800") == '"a\\357\\277\\275"'


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc here")
def test_a_compiler_reads_the_c_literals_back(tmp_path: Path) -> None:
    texts = [text for text in HOSTILE if "\0" not in text]
    lines = "".join(f"    puts({escape.c(text)});\n" for text in texts)
    (tmp_path / "a.c").write_text(f"#include <stdio.h>\nint main(void)\n{{\n{lines}    return 0;\n}}\n")
    subprocess.run(
        ["gcc", "-std=c99", "-trigraphs", "-Wall", "-Werror", "-o", "a", "a.c"], cwd=tmp_path, check=True
    )
    out = subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout
    assert out == "".join(f"{text}\n" for text in texts).encode()


def test_markdown_is_one_line_without_markup() -> None:
    assert escape.markdown("| a |\n# <b>") == "\\| a \\| \\# &lt;b&gt;"
    assert escape.markdown("\u202egnp") == "U+202Egnp"


@given(st.text())
def test_identifiers_are_identifiers(text: str) -> None:
    made = escape.identifier(text)
    assert made.isidentifier() and made.isascii() and made == made.lower()
