"""Turns every way a command can end into a message and an exit code."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import functools
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from edgedistill import launch
from edgedistill.errors import EdgeDistillError, OutputError, WorkerError

P = ParamSpec("P")
INTERRUPTED = 130  # 128 + SIGINT, what shells expect
OUR_BUG = 70  # EX_SOFTWARE of sysexits.h
DEBUG = contextvars.ContextVar("debug", default=False)
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
}


def guarded(command: Callable[P, None], *, together: bool = False) -> Callable[P, None]:
    """``command``, with its errors told in words: what happened, where, what to do.

    Of several processes started together, the first alone runs it and speaks; ``together``: all run it.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("json_"))
        if launch.rank() and not together:
            return
        try:
            with _stdout():
                command(*args, **kwargs)
            sys.stdout.flush()
        except EdgeDistillError as error:
            raise _end(error, as_json) from None
        except KeyboardInterrupt:
            if not launch.rank():
                print("\nstopped; run the same command again to resume", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has seen enough, as in `... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except MemoryError as error:
            told = EdgeDistillError("there is not enough memory", fix="a smaller --set distill.batch=N")
            told.__cause__ = error
            raise _end(told, as_json, code=2) from None
        except OSError as error:
            if error.errno not in _DISK:
                raise _bug(error, as_json) from None
            fix = "mend that, then run the same command again to resume"
            told = OutputError(_DISK[error.errno], where=error.filename and str(error.filename), fix=fix)
            told.__cause__ = error
            raise _end(told, as_json) from None
        except Exception as error:
            if isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
                raise
            raise _bug(error, as_json) from None

    return run


def _stdout() -> contextlib.AbstractContextManager[object]:
    return contextlib.redirect_stdout(io.StringIO()) if launch.rank() else contextlib.nullcontext()


def _end(error: EdgeDistillError, as_json: bool, code: int | None = None) -> typer.Exit:
    code = error.exit_code if code is None else code
    _trace(error)
    if launch.rank() and not (isinstance(error, WorkerError) and error.speaks):
        return typer.Exit(code)
    if as_json:
        told = {"what": error.what, "where": error.where, "fix": error.fix}
        print(json.dumps({"event": "error", "exit_code": code, **told}, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"error: {error}", file=sys.stderr)
    return typer.Exit(code)


def _bug(error: BaseException, as_json: bool) -> typer.Exit:
    told = EdgeDistillError(
        f"this is a bug of edgedistill: {type(error).__name__}: {error}",
        fix="please report it with the output of `edgedistill --debug ...` and `edgedistill doctor`",
    )
    told.__cause__ = error
    return _end(told, as_json, OUR_BUG)


def _trace(error: BaseException) -> None:
    if DEBUG.get():
        traceback.print_exception(error, file=sys.stderr)
