"""Runs a command in a terminal of its own and keeps what it shows at the end as a picture (SVG).

python benchmarks/terminal_picture.py FILE.svg -- edgedistill build --target android-arm64 --out out/demo
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import re
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_CODE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
_FONT_FROM_THE_NETWORK = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


class Screen:
    """Lines as a terminal would show them; colours stay in the text as ANSI codes."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self.row = 0

    def feed(self, text: str) -> None:
        """Carries out line feeds, carriage returns, erasing of lines and moves upwards."""
        position = 0
        while position < len(text):
            code = _CODE.match(text, position)
            if code is not None:
                self._control(code.group(0), code.group(1), code.group(2))
                position = code.end()
                continue
            character = text[position]
            if character == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif character == "\r":
                if text[position : position + 2] != "\r\n":
                    self.lines[self.row] = ""  # what follows overwrites the line
            else:
                self.lines[self.row] += character
            position += 1

    def _control(self, code: str, argument: str, kind: str) -> None:
        if kind == "m":
            self.lines[self.row] += code
        elif kind == "K":
            self.lines[self.row] = ""
        elif kind == "A":
            self.row = max(0, self.row - int(argument or 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("svg", type=Path)
    parser.add_argument("--columns", type=int, default=104)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = [part for part in arguments.command if part != "--"]
    if not command:
        parser.error("give the command after --")
    shown = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        shown.extend(data)
        return data

    os.environ.update(COLUMNS=str(arguments.columns), LINES="60", TERM="xterm-256color")
    status = pty.spawn(command, read)
    screen = Screen()
    screen.feed(shown.decode("utf-8", "replace"))
    console = Console(record=True, width=arguments.columns, file=io.StringIO())
    console.print(Text(f"$ {shlex.join(command)}", style="bold"))
    for line in "\n".join(screen.lines).rstrip().split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, crop=False)
    picture = console.export_svg(title="edgedistill")
    arguments.svg.write_text(_FONT_FROM_THE_NETWORK.sub("", picture), encoding="utf-8")
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
