"""The table of commands, and the options before them."""

from __future__ import annotations

from typing import Annotated

import typer

from edgedistill import __version__
from edgedistill.cli import (
    bench,
    build,
    calibrate,
    compare,
    compile,
    doctor,
    inspect,
    lists,
    package,
    schema,
    size,
    targets,
    teach,
    tune,
    verify,
)
from edgedistill.cli.guard import DEBUG, guarded

app = typer.Typer(
    name="edgedistill",
    help="Distils a teacher network into an int8 student that computes the same bits in every runtime.",
    epilog="Exit codes: 0 good, 1 a promise did not hold, 2 your input, 70 a bug of ours, 130 Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("build")(guarded(build.build, together=True))
app.command("teach")(guarded(teach.teach, together=True))
app.command("size")(guarded(size.size))
app.command("tune")(guarded(tune.tune))
app.command("compile")(guarded(compile.compile_))
app.command("calibrate")(guarded(calibrate.calibrate))
app.command("package")(guarded(package.package_))
app.command("verify")(guarded(verify.verify))
app.command("bench")(guarded(bench.bench))
app.command("compare")(guarded(compare.compare))
app.command("inspect")(guarded(inspect.inspect))
app.command("list")(guarded(lists.list_))
app.command("schema")(guarded(schema.schema))
app.command("doctor")(guarded(doctor.doctor))
app.add_typer(targets.app, name="targets")


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    DEBUG.set(debug)
    if version:
        typer.echo(f"edgedistill {__version__}")
        raise typer.Exit
