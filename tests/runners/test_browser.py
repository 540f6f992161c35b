"""Students in WebAssembly: a real Chromium answers with the interpreter's bits, and its death is told."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill.bench import browser as bench
from edgedistill.errors import GateError, InputError
from edgedistill.export import onnx
from edgedistill.export.metadata import Metadata
from edgedistill.ir import golden
from edgedistill.runners import browser
from edgedistill.runners.browser import Task, chromium, packages
from edgedistill.runners.browser.server import PageServer
from tests.graphs import random_input, small_integer_graph

GRAPH = small_integer_graph(3)
VECTORS = golden.golden(GRAPH, random_input(GRAPH, 3))


def _reason() -> str | None:
    if chromium.missing():
        return chromium.missing()
    try:
        packages.gather()
    except GateError as error:
        return error.what
    return None


@pytest.fixture(scope="session")
def available() -> None:
    """Skips where there is no Chromium, or npm cannot fetch the runtimes."""
    reason = _reason()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def task(tmp_path: Path, available: None) -> Task:
    path = tmp_path / "student.onnx"
    path.write_bytes(onnx.to_bytes(GRAPH, Metadata("small", "", GRAPH.labels, 1 / 64, 0, "0")))
    return bench.task_of(path, GRAPH, VECTORS)


@pytest.mark.browser
def test_onnx_has_the_interpreters_bits_and_times(task: Task) -> None:
    found = browser.run(replace(task, runs=20, warmup=2))
    np.testing.assert_array_equal(found.outputs, VECTORS.outputs)
    assert found.samples_ms.size * found.batch >= 20 and (found.samples_ms > 0).all()
    assert 0 < found.clock_step_ms < 1 and found.warmup >= 2
    assert found.memory_bytes >= found.loaded_bytes > 0
    assert found.runtime.startswith("onnxruntime-web ") and "Chromium" in found.runtime


@pytest.mark.browser
def test_tflite_with_threads_has_the_interpreters_bits(available: None) -> None:
    found = browser.run(bench.task_of(Path("student.tflite"), GRAPH, VECTORS, threads=2))
    np.testing.assert_array_equal(found.outputs, VECTORS.outputs)
    assert found.samples_ms.size == 0


@pytest.mark.browser
def test_a_browser_that_is_killed_is_told_and_leaves_nothing(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium.tempfile, "mkdtemp", lambda prefix: str(_made(tmp_path / "profile")))
    opened = chromium.subprocess.Popen

    def killed(*args: object, **more: object) -> object:
        process = opened(*args, **more)  # type: ignore[call-overload]
        if "--headless" in args[0]:  # type: ignore[operator]
            threading.Timer(0.3, os.killpg, (process.pid, signal.SIGKILL)).start()
        return process

    monkeypatch.setattr(chromium.subprocess, "Popen", killed)
    with pytest.raises(GateError, match=r"Chromium ended by itself|the page crashed"):
        browser.run(replace(task, runs=10**9))
    assert not (tmp_path / "profile").exists()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.browser
def test_a_page_that_says_nothing_is_given_up(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = browser.page_file
    silent = b"setInterval(() => {}, 1000);"
    monkeypatch.setattr(browser, "page_file", lambda n: silent if n == "measure.js" else plain(n))
    started = time.monotonic()
    with pytest.raises(GateError, match=r"the page said nothing for 1 s"):
        browser.run(task, stall_s=1.0)
    assert time.monotonic() - started < 30


@pytest.mark.browser
def test_a_model_that_is_none_is_told_in_the_runtimes_words(task: Task) -> None:
    with pytest.raises(GateError, match="the model does not run in the browser"):
        browser.run(replace(task, model=b"no model"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "no room"}, "does not run in the browser: no room"),
        ({"outputs": "AA==", "loaded_bytes": 1, "memory_bytes": 1}, "the page's answer is not one"),
        ({"outputs": "!", "loaded_bytes": 1, "memory_bytes": 1}, "the page's answer is not one"),
        ({"outputs": "", "loaded_bytes": -1, "memory_bytes": 1}, "the page's answer is not one"),
    ],
)
def test_answers_are_checked(answer: dict[str, object], words: str) -> None:
    with pytest.raises(GateError, match=words):
        browser._checked(answer, bench.task_of(Path("student.tflite"), GRAPH, VECTORS), "a browser")


def test_without_chromium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(chromium.VARIABLE, raising=False)
    assert "apt-get install chromium" in (browser.missing() or "")
    assert browser.missing("/not/there") == "there is no program /not/there"
    with pytest.raises(InputError, match="there is no Chromium here"):
        browser.run(bench.task_of(Path("student.tflite"), GRAPH, VECTORS))


def test_without_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GateError, match="there is no npm here"):
        packages.gather()
    assert not any(tmp_path.iterdir())


def _asked(port: int, method: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    return connection.getresponse().status


def test_the_server_gives_what_is_named_to_who_knows_the_path() -> None:
    server = PageServer({"page.html": b"<p>hello</p>"})
    with server.running():
        address, _, rest = server.url("page.html").removeprefix("http://").partition("/")
        port, secret = int(address.partition(":")[2]), rest.partition("/")[0]
        assert _asked(port, "GET", f"/{secret}/page.html") == 200
        assert _asked(port, "GET", f"/{secret}/../page.html") == 404
        assert _asked(port, "GET", f"/{secret}/etc/passwd") == 404
        assert _asked(port, "GET", "/guess/page.html") == 404
        assert _asked(port, "GET", f"/{secret}/page.html", Host="evil.example") == 404
        assert _asked(port, "POST", f"/{secret}/other") == 404
        huge = {"Content-Length": str(2**40)}
        assert _asked(port, "POST", f"/{secret}/answer", **huge) == 404
        assert server.answer is None
