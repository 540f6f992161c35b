"""Writes any text, class names of strangers included, so that no language reads it as anything but text.

Labels belong into data files (labels.json, labels.txt); these functions are for the few texts that
a generated source must hold. All give ASCII, so that neither an editor's encoding nor right-to-left
controls (Boucher & Anderson 2021, "Trojan Source", section 4) change what a reader sees.
"""

from __future__ import annotations

import json
import re
import unicodedata


def json_text(value: object) -> str:
    """JSON in ASCII that is also safe inside an HTML <script>: ``<``, ``>`` and ``&`` are escaped."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=False, indent=1)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def kotlin(text: str) -> str:
    """A string literal with its quotes; ``$`` would start a template (Kotlin specification, 1.2.4)."""
    return json_text(text).replace("$", "\\u0024")


def swift(text: str) -> str:
    """A string literal with its quotes: JSON's escapes are not Swift's, which writes ``\\u{1F600}``."""
    return '"' + "".join(_swift(character) for character in text) + '"'


def c(text: str) -> str:
    """A string literal with its quotes: UTF-8 bytes in octal; no ``?``, so no trigraph (C99 5.2.1.1)."""
    scalars = "".join(chr(_scalar(character)) for character in text)
    plain = set(range(0x20, 0x7F)) - set(b'"\\?%')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in scalars.encode()) + '"'


def toml(text: str) -> str:
    """A basic string with its quotes (TOML 1.0, Strings)."""
    return '"' + "".join(_toml(character) for character in text) + '"'


def markdown(text: str) -> str:
    """One line that Markdown and the HTML inside it show as it is, invisible characters as U+XXXX."""
    line = " ".join(text.split())
    shown = "".join(
        f"U+{ord(character):04X}"
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")
        else character
        for character in line
    )
    entities = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]{}|#~!$])", r"\\\1", entities)


def identifier(text: str) -> str:
    """Letters, digits and underscores that start with a letter, as package and module names want them."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return words if words[:1].isalpha() else f"model_{words}".rstrip("_")


def _swift(character: str) -> str:
    if character in '"\\' or not " " <= character <= "~":
        return f"\\u{{{_scalar(character):X}}}"
    return character


def _toml(character: str) -> str:
    if character in '"\\' or not " " <= character <= "~":
        code = _scalar(character)
        return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
    return character


def _scalar(character: str) -> int:
    """The code point; half a surrogate pair is no character, and U+FFFD stands in its place."""
    return 0xFFFD if 0xD800 <= ord(character) <= 0xDFFF else ord(character)
