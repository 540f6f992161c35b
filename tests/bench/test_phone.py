"""A build on a phone: every byte, its times and memory, and energy from a battery, behind a real adbd."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgedistill.bench import phone, phone_energy
from edgedistill.bench.places import Found, Request
from edgedistill.cli import app
from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden
from edgedistill.ir.graph import Graph
from edgedistill.record import Measurement
from edgedistill.runners import adb, android, battery, phone_student
from edgedistill.runners.adb import Phone
from edgedistill.runners.android import Facts
from edgedistill.runners.battery import Load, Sample, Sampled
from tests import phones
from tests.phones import SERIAL, StandIn

REASON = phones.reason_not_runnable()
needs_adbd = pytest.mark.skipif(REASON is not None, reason=REASON or "")
BATTERY = battery.BATTERY
TIMED = Measurement(quantity="latency", value=1.0, unit="ms", how="measured")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    if REASON is not None:
        pytest.skip(REASON)
    with phones.running(tmp_path_factory.mktemp("adbd") / "phone") as running:
        yield running


def fill_battery(
    device: StandIn, current: str, voltage: str = "3900000", status: str = "Discharging"
) -> None:
    """FAKE: what a phone's kernel says of its battery."""
    for name, value in (("current_now", current), ("voltage_now", voltage), ("status", status)):
        device.write(f"{BATTERY}/{name}", value)


@pytest.fixture
def on(device: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    for name, value in device.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(adb, "FOLDER", PurePosixPath(device.files))
    monkeypatch.setattr(phone_student, "LEAST_MS", 50)
    monkeypatch.setattr(phone, "AGAIN", 0)  # a busy machine's median is never well known
    fill_battery(device, "-150000", status="Charging")
    return device


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def request_(
    graph: Graph, built: Path, on: StandIn, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> Request:
    """Of the same build each time: what the compiler made is kept."""
    build = phone_student.build

    def once(*arguments: Any) -> Path:
        if not (programs / "program").exists():
            shutil.copytree(build(*arguments).parent, programs, dirs_exist_ok=True)
        return programs / "program"

    monkeypatch.setattr(phone_student, "build", once)
    c.write(graph, Metadata("small", "a test network", graph.labels, 1 / 64, 0, "0"), built / "c")
    return Request(built, f"adb:{SERIAL}", runs=20, warmup=2, cc=str(on.cc), trust=True)


def measured(request: Request, device: StandIn, **energy: float) -> Found:
    return phone.on_phone(request, adb.find(request.address), str(device.root), rounds=2, **energy)  # type: ignore[arg-type]


@contextlib.contextmanager
def drained(device: StandIn) -> Iterator[None]:
    """FAKE: a battery that gives 150 mA, and 400 mA while a load runs on the phone."""
    stop = threading.Event()
    folder = device.seen(device.files)

    def drain() -> None:
        for jitter in itertools.cycle((0, 1000, -1000)):
            names = {path.name for path in folder.glob("edgedistill-*/*.[0-9]")}
            busy = any(f"done.{n[5:]}" not in names for n in names if n.startswith("load."))
            fill_battery(device, str(-(400_000 if busy else 150_000) + jitter))
            if stop.wait(0.02):
                return

    fill_battery(device, "-150000")
    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@needs_adbd
def test_every_byte_and_time_and_energy(
    request_: Request, on: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battery, "SETTLE_S", 0.2)
    on.write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1800000")
    with drained(on):
        found = measured(request_, on, phase_s=0.7)
    (parity, litert), rows = found.parity, {row.quantity: row for row in found.measurements}
    assert (parity.how, parity.artifact, parity.broken) == ("measured", "c", False)
    assert parity.identical == parity.values == golden.load(request_.path / "golden.npz").outputs.size
    assert parity.runtime == "c on Nobody Model X, Android 14" and "armv8.2-a+dotprod" in parity.note
    assert (litert.how, litert.artifact) == (
        "not run",
        "student.tflite",
    ) and "--benchmark-model" in litert.note
    latency, energy = rows["latency"], rows["energy"]
    assert latency.count >= 20 and latency.p99 and latency.p50 and latency.p99 >= latency.p50 > 0
    assert "before 1.80 GHz" in latency.note and rows["peak_memory"].value is not None
    assert energy.how == "measured" and energy.value is not None and energy.count > 2
    # 250 mA at 3.9 V more than idle, for two loads of 0.7 s less 0.2 s in which the gauge settles
    assert energy.value * energy.count == pytest.approx(975 * 2 * 0.5, rel=0.6), energy.note
    assert "median of 2 rounds" in energy.note and "(µA) and voltage at 10 Hz" in energy.note
    assert list(on.seen(on.files).iterdir()) == []


@needs_adbd
def test_the_command(request_: Request, on: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["bench", str(request_.path), "--on", request_.on, "--trust", "--cc", request_.cc, "--json"]
    result = CliRunner().invoke(app.app, [*command, "--runs", "5", "--warmup", "1"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [one["how"] for one in found["parity"]] == ["measured", "not run"]
    assert [one["quantity"] for one in found["measurements"]] == ["latency", "peak_memory", "energy"]
    assert "does not let adb read" in found["measurements"][2]["note"]  # this machine has no battery


@needs_adbd
def test_a_phone_that_is_lost_while_it_is_measured(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with phones.running(tmp_path / "another") as other:
        for name, value in other.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(adb, "FOLDER", PurePosixPath(other.files))
        monkeypatch.setattr(phone_student, "LEAST_MS", 20_000)
        put = phone_student.put

        def then_kill(*arguments: Any) -> None:
            put(*arguments)
            threading.Timer(1.0, other.signal_adbd).start()

        monkeypatch.setattr(phone_student, "put", then_kill)
        with pytest.raises(GateError, match="lost in the middle of a command"):
            measured(request_, other)


@needs_adbd
def test_a_wrong_byte_is_told_and_its_energy_is_not(request_: Request, on: StandIn) -> None:
    vectors = golden.load(request_.path / "golden.npz")
    wrong = vectors.outputs.copy()
    wrong.reshape(-1)[5] ^= 1
    golden.save(golden.Golden(vectors.inputs, wrong, vectors.checksums), request_.path / "golden.npz")
    found = measured(request_, on)
    assert found.parity[0].broken and found.parity[0].max_lsb == 1
    assert "energy" not in {row.quantity for row in found.measurements}


@needs_adbd
@pytest.mark.parametrize(
    ("current", "status", "words"),
    [
        ("-150000", "Charging", r"not discharging \(Charging\): unplug"),
        ("-150000", "Not charging", r"not discharging \(Not charging\): unplug"),
        ("", "Discharging", "does not let adb read current_now"),
    ],
)
def test_energy_is_refused(request_: Request, on: StandIn, current: str, status: str, words: str) -> None:
    fill_battery(on, current, status=status)
    with adb.find(SERIAL).folder("0" * 12) as folder:
        row = phone_energy.energy(
            adb.find(SERIAL), folder, phone_energy.Asked(str(on.root)), phone_student.work(1.0), TIMED
        )
    assert (row.how, row.value) == ("not run", None)
    assert row.note.startswith("not measured: ")
    assert re.search(words, row.note)


@needs_adbd
def test_a_phone_that_is_powered_from_outside(on: StandIn) -> None:
    fill_battery(on, "-150000")
    on.write("/sys/class/power_supply/usb/type", "USB")
    on.write("/sys/class/power_supply/battery/type", "Battery")
    on.write("/sys/class/power_supply/battery/online", "1")  # of some makers
    assert battery.reason_not_measurable(adb.find(SERIAL), str(on.root)) is None
    on.write("/sys/class/power_supply/usb/online", "1")
    try:
        reason = battery.reason_not_measurable(adb.find(SERIAL), str(on.root))
    finally:
        on.write("/sys/class/power_supply/usb/online", "0")
    assert reason is not None and "powered from outside (usb)" in reason


@needs_adbd
def test_without_trust_nothing_is_compiled(request_: Request, on: StandIn) -> None:
    with pytest.raises(InputError, match="pass --trust"):
        measured(replace(request_, trust=False), on)


@needs_adbd
def test_without_a_compiler_it_is_said(
    request_: Request, on: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(phone_student.NDK, str(tmp_path))
    found = measured(replace(request_, cc=Request.cc), on)
    assert found.parity[0].how == found.measurements[0].how == "not run"
    assert "has no aarch64-linux-android24-clang" in found.parity[0].note


@needs_adbd
def test_a_compiler_that_does_not_exist(request_: Request, on: StandIn) -> None:
    with pytest.raises(InputError, match="there is no compiler 'no-such-cc'"):
        measured(replace(request_, cc="no-such-cc"), on)
    assert list(on.seen(on.files).iterdir()) == []


@needs_adbd
def test_an_altered_file_is_not_run(request_: Request, on: StandIn) -> None:
    tool = on.base / "tool"
    tool.write_text("#!/bin/sh\n")
    with (request_.path / "student.tflite").open("ab") as file:
        file.write(b"x")
    with pytest.raises(GateError, match=r"student\.tflite is not the file that was built"):
        measured(replace(request_, benchmark_model=tool), on)


TOOL = """#!/bin/sh
# FAKE: not LiteRT's benchmark_model; prints what it prints, and gives the answers that are beside it
for word in "$@"; do
    case $word in
    --output_filepath=*) number=$(cat "$0.n" 2>/dev/null || echo 0)
        tail -c +$((number * {size} + 1)) {answers} | head -c {size} >"${{word#*=}}"
        echo $((number + 1)) >"$0.n";;
    esac
done
echo "INFO: count=50 first=33228 curr=33130 min=32687 max=33239 avg=33071.8 std=129"
printf "INFO: Inference timings in us: Init: 3501, First inference: 156677, "
echo "Warmup (avg): 43268.1, Inference (avg): 33071.8"
echo "INFO: Memory footprint delta from the start of the tool (MB): init=1.5 overall=2.5"
"""


@needs_adbd
@pytest.mark.parametrize("wrong", [0, 1])
def test_litert_by_its_own_tool(request_: Request, on: StandIn, wrong: int) -> None:
    outputs = golden.load(request_.path / "golden.npz").outputs.copy()
    outputs.reshape(-1)[0] ^= wrong
    (on.base / "answers").write_bytes(outputs.tobytes())
    tool = on.base / f"tool{wrong}"
    tool.write_text(TOOL.format(size=outputs.nbytes // len(outputs), answers=on.base / "answers"))
    found = measured(replace(request_, benchmark_model=tool, trust=False), on)
    untrusted, parity = found.parity
    assert untrusted.how == "not run" and "--trust" in untrusted.note
    assert (parity.how, parity.artifact, parity.broken) == ("measured", "student.tflite", bool(wrong))
    assert parity.values == 5 * outputs[0].size
    latency, memory, energy = found.measurements
    assert (latency.value, latency.count, latency.p50) == (pytest.approx(33.0718), 50, None)
    assert "benchmark_model's mean of 50, 32.69 to 33.24 ms; first 156.7 ms" in latency.note
    assert memory.value == 2.5 * 2**20
    assert (energy.quantity, energy.how, energy.artifact) == ("energy", "not run", "student.tflite")


@needs_adbd
def test_a_tool_that_gives_no_outputs(request_: Request, on: StandIn) -> None:
    tool = on.base / "old"
    tool.write_text(TOOL.replace("--output_filepath=*", "--no=*"))
    found = measured(replace(request_, benchmark_model=tool, trust=False), on)
    assert found.parity[1].how == "not run" and "gives no outputs" in found.parity[1].note
    assert found.measurements[0].value is not None


@needs_adbd
def test_a_load_that_fails_is_told(on: StandIn) -> None:
    fill_battery(on, "-150000")
    one: Phone = adb.find(SERIAL)
    with pytest.raises(GateError, match="ran 0 times instead of 1"), one.folder("0" * 12) as folder:
        battery.sample(one, folder, phone_student.work(0.2), str(on.root), rounds=1, phase_s=0.2)


@pytest.mark.parametrize(
    ("abi", "emulator", "words"),
    [("x86_64", "", "the phone is x86_64, not arm64-v8a"), ("arm64-v8a", "1", "this is Android's emulator")],
)
def test_other_phones_are_refused(
    monkeypatch: pytest.MonkeyPatch, built: Path, abi: str, emulator: str, words: str
) -> None:
    facts = Facts("Nobody", "X", "14", abi, "", emulator, ())
    monkeypatch.setattr(android, "facts", lambda *_: facts)
    with pytest.raises(InputError, match=words):
        phone.on_phone(Request(built, "adb"), Phone("A1"))


def samples(watts_idle: float, watts_load: float, rounds: int = 6) -> Sampled:
    """A battery of 4 V by its books: µA, discharging, 10 Hz, 100 inferences a second."""
    found, at = [], 1000.0
    for number in range(rounds):
        for phase, watts in ((f"idle.{number}", watts_idle), (f"load.{number}", watts_load)):
            for i in range(60):
                current = -round(watts / 4 * 1e6) + (i % 2)
                found.append(Sample(phase, at, current, 4_000_000, "Discharging"))
                at += 0.1
    return Sampled(tuple(found), (Load(600, 6.0),) * rounds)


def test_energy_by_the_books() -> None:
    found = phone_energy.of(samples(1.0, 3.0))
    assert not isinstance(found, str) and len(found) == 6
    assert [one.each_j[0] for one in found] == pytest.approx([0.02] * 6, rel=0.02)  # 2 W for 10 ms


@pytest.mark.parametrize("scale", [1, 1000])
def test_signs_and_units_of_other_makers(scale: int) -> None:
    was = samples(1.0, 3.0)
    turned = tuple(
        replace(s, current=abs(s.current) // scale, voltage=s.voltage // scale) for s in was.samples
    )
    found = phone_energy.of(Sampled(turned, was.loads))
    assert not isinstance(found, str), found
    assert np.median([one.each_j[0] for one in found]) == pytest.approx(0.02, rel=0.02)


def test_a_load_that_is_not_seen_is_refused() -> None:
    found = phone_energy.of(samples(3.0, 1.0))
    assert isinstance(found, str) and "no more than idle" in found


def test_a_sensor_that_stands_still_is_refused() -> None:
    was = samples(1.0, 1.0)
    still = tuple(replace(s, current=-250_000) for s in was.samples)
    found = phone_energy.of(Sampled(still, was.loads))
    assert found == "the sensor of current stands still at -250000 for 720 samples"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "Charging"}, r"not discharging all the time \(Charging\)"),
        ({"current": 500_000}, "changes its sign"),
        ({"voltage": 300_000}, "which no phone's battery has"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], words: str) -> None:
    was = samples(1.0, 3.0)
    bent = (*was.samples[:-1], replace(was.samples[-1], **change))  # type: ignore[arg-type]
    found = phone_energy.of(Sampled(bent, was.loads))
    assert isinstance(found, str) and re.search(words, found)


def test_no_samples() -> None:
    assert phone_energy.of(Sampled((), ())) == "the battery gave no samples"
