"""The commands ``targets list``, ``targets show``, ``targets new`` and ``targets check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.guard import guarded
from edgedistill.cli.output import Json, Quiet, console, print_json, print_table
from edgedistill.errors import InputError, writing
from edgedistill.store import atomic_write

if TYPE_CHECKING:
    from edgedistill.target import Cost

app = typer.Typer(help="Devices: which ones ship, what is known of them, and whether your own file is right.")

RUNS = {
    "local": "what runs its files on this machine: the runtimes above",
    "vela": "what is known of it here: Arm's compiler's estimate of the accelerator above",
    "cortex-m": "what runs its C files on this machine: a firmware in QEMU, on the emulator above",
}


def list_(quiet: Quiet = False, json_: Json = False) -> None:
    """Lists the devices that ship with edgedistill."""
    from edgedistill import target as devices

    found = [devices.load(name) for name in devices.names()]
    if json_:
        print_json([device.model_dump(mode="json") for device in found])
    elif quiet:
        print("\n".join(device.name for device in found))
    else:
        rows = [
            (d.name, d.title, ", ".join(d.runtimes.value), ", ".join(d.formats.value), d.default_runner)
            for d in found
        ]
        print_table(("name", "device", "runtimes", "formats", "runner"), rows)


def show(
    name: Annotated[str, typer.Argument(help="A name from `targets list`, or a target file.")],
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Shows what is known of a device, and from which document."""
    from edgedistill import target as devices

    device = devices.load(name)
    if json_:
        print_json(device.model_dump(mode="json"))
        return
    if quiet:
        return
    rows = [
        (key, _words(key, fact.value), fact.source)
        for key, fact in ((key, getattr(device, key)) for key in type(device).model_fields)
        if isinstance(fact, devices.Fact)
    ]
    rows += [(f"budget.{name}", text, "a default limit, not a fact") for name, text in device.budget.items()]
    rows.append(("default_runner", device.default_runner, RUNS[device.default_runner]))
    print_table(("fact", "value", "source"), rows, title=f"{device.name}: {device.title}")
    for cost in device.cost:
        console().print(f"cost model: {_model(cost)}", markup=False, soft_wrap=True)
    overlay = devices.overlay_path(name)
    if device.name == name and overlay.is_file():
        console().print(f"in force: your own measurements, {overlay}", markup=False, soft_wrap=True)
    if device.notes:
        console().print(device.notes, markup=False)


def new(
    path: Annotated[
        Path, typer.Argument(metavar="FILE.toml", help="The file to write; its stem is the name.")
    ],
    from_: Annotated[
        str, typer.Option("--from", metavar="NAME", help="The device to start from: a name or a target file.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Starts a target file of your own from a device that is like it."""
    from edgedistill import target as devices
    from edgedistill.cli.target_file import started

    devices.check_stem(path)
    text = started(path.stem, devices.load(from_), devices.text_of(from_))
    _write(path, text, force)
    if json_:
        print_json({"name": path.stem, "from": from_, "path": str(path)})
    elif not quiet:
        print(f"{path}: a copy of {from_} to edit; then `edgedistill targets check {path}`")


def _write(path: Path, text: str, force: bool) -> None:
    if path.exists() and not force:
        raise InputError("the file exists", where=str(path), fix="choose another name, or --force")
    with writing("the target file", path):
        atomic_write(path, text.encode())


def _model(cost: Cost) -> str:
    """What was fitted to what, and how well."""
    found = f"{cost.quantity} with {cost.runtime}, {cost.graphs} networks on {cost.machine}, {cost.date}"
    return f"{found}; nine in ten within {cost.error_p90:.1%}"


def check(
    path: Annotated[Path, typer.Argument(help="A target file of your own.")],
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Checks a target file; `build --target FILE.toml` takes it afterwards."""
    from edgedistill import target as devices
    from edgedistill.cli.target_file import together

    mistakes = devices.check_file(path)
    if mistakes:
        raise together(mistakes, path)
    device = devices.load_file(path)
    missing = devices.gaps(device)
    if json_:
        print_json({"name": device.name, "good": True, "gaps": missing})
    elif not quiet:
        for text in missing:
            print(f"not stated: {text}")
        print(f"{path}: good; build for it with --target {path}")


def _words(key: str, value: object) -> str:
    from pydantic import BaseModel

    from edgedistill import units

    if isinstance(value, BaseModel):
        return ", ".join(str(part) for part in value.model_dump().values())
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return " to ".join(f"{end:g}" for end in value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, int) and key.endswith("_bytes"):
        return units.format_bytes(value)
    if isinstance(value, int) and key.endswith("_hz"):
        return units.format_hz(value)
    return str(value)


app.command("list")(guarded(list_))
app.command("show")(guarded(show))
app.command("new")(guarded(new))
app.command("check")(guarded(check))
