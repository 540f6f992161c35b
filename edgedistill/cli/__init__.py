"""The command line: arguments in, exit codes out; every command imports what it needs when it runs."""

from __future__ import annotations


def main() -> None:
    """The console script."""
    from edgedistill.cli.app import app

    app(prog_name="edgedistill")
