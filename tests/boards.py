"""Boards for tests, each behind a serial port: the protocol compiled for this machine, and liars."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgedistill.runners.c_source import find
from edgedistill.runners.cortex_m import board

DRIVER = """\
#include "protocol.h"
#include <unistd.h>
static uint32_t clock_us = 0xFFFFF000u; /* begins again soon */
void edgedistill_board_put(char byte)
{
    if (write(1, &byte, 1) != 1) { _exit(3); }
}
int edgedistill_board_get(void)
{
    unsigned char byte;
    return read(0, &byte, 1) == 1 ? byte : -1;
}
uint32_t edgedistill_board_microseconds(void)
{
    clock_us += STEP_US;
    return clock_us;
}
int main(void)
{
    edgedistill_protocol_run();
    return 0;
}
"""
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wshadow", "-Werror")


def program(c_folder: Path, cc: str, *more: str) -> Path:
    """The protocol around ``c_folder``'s model, on stdin and stdout; its clock makes steps of STEP_US."""
    board.write(c_folder)
    folder = c_folder / board.FOLDER
    driver = c_folder.parent / "driver.c"
    driver.write_text(DRIVER)
    step = () if any("STEP_US" in flag for flag in more) else ("-DSTEP_US=1000u",)
    sources = [str(driver), str(folder / "protocol.c"), str(find(c_folder).source)]
    made = c_folder.parent / "board"
    where = (f"-I{folder}", f"-I{c_folder}")
    subprocess.run([cc, "-std=c99", "-O1", *more, *step, *where, "-o", str(made), *sources], check=True)
    return made


@contextmanager
def behind_port(command: Path) -> Iterator[str]:
    """Runs a program at the other end of a serial port, whose name is given."""
    board_end, host_end = os.openpty()
    tty.setraw(host_end)
    with subprocess.Popen([str(command)], stdin=board_end, stdout=board_end) as running:
        try:
            yield os.ttyname(host_end)
        finally:
            running.kill()
            os.close(board_end)
            os.close(host_end)


def answers(known: Mapping[bytes, bytes]) -> Callable[[bytes], bytes]:
    """What a firmware with these commands alone replies."""

    def answer(heard: bytes) -> bytes:
        commands = heard.split(b"%")[:-1]
        told = (known.get(command, b"e-[Unknown command: " + command + b"]") for command in commands)
        return b"".join(lines + b"\r\nm-ready\r\n" for lines in told)

    return answer


@contextmanager
def liar(answer: Callable[[bytes], bytes], unasked: bytes = b"") -> Iterator[str]:
    """A serial port: ``answer`` makes the reply to what arrives, and ``unasked`` comes all the time."""
    board_end, host_end = os.openpty()
    tty.setraw(host_end)
    os.set_blocking(board_end, False)
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            arrived, _, _ = select.select([board_end], [], [], 0.01)
            reply = answer(os.read(board_end, 4096)) if arrived else unasked
            while reply and not stop.is_set():
                with contextlib.suppress(BlockingIOError):  # until the host has read
                    reply = reply[os.write(board_end, reply) :]

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield os.ttyname(host_end)
    finally:
        stop.set()
        thread.join(5)
        os.close(board_end)
        os.close(host_end)
