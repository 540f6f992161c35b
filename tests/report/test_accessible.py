"""Pages in a real Chromium: axe finds nothing wrong, nothing is wider than the window, no error is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgedistill.record import BuildRecord, Step, Steps
from edgedistill.report import compare
from edgedistill.report.html import render
from edgedistill.report.mistakes import Mistake
from edgedistill.runners.browser import chromium, packages
from edgedistill.runners.browser.server import PageServer
from tests.runners.test_browser import available

__all__ = ["available"]
_PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
_SCRIPT = b"""
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message)));
addEventListener("load", async () => {
  const found = await axe.run(document);
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const violations = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).slice(0, 3)}`);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const said = { violations, errors, wide, width: innerWidth, dark };
  await fetch("answer", { method: "POST", body: JSON.stringify(said) });
});
"""


def _looked_at(page: str, width: int, dark: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What Chromium says of ``page``, in a window of so many pixels."""
    scripts = '<script src="axe.min.js"></script><script src="look.js"></script></body>'
    files = {
        "page.html": page.replace("</body>", scripts).encode(),
        "look.js": _SCRIPT,
        "axe.min.js": packages.gather() / "axe.min.js",
    }
    theme = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    monkeypatch.setattr(chromium, "FLAGS", (*chromium.FLAGS, f"--window-size={width},900", *theme))
    program = chromium.find()
    assert program is not None
    server = PageServer(files)
    with server.running(), chromium.opened(program, server.url("page.html")), server.changed:
        server.changed.wait_for(lambda: server.answer is not None, timeout=60)
    assert server.answer is not None, "the page said nothing"
    return server.answer


def _full(record: BuildRecord) -> BuildRecord:
    rows = tuple(Step(ops=(f"op{i}",), kernel="conv", value=float(i + 1), float32=2.0) for i in range(4))
    by_class = tuple(850 + i for i in range(10))
    return record.model_copy(
        update={
            "steps": Steps(rows=rows, unit="ms", how="measured", runtime="litert", device="a PC"),
            "accuracy": record.accuracy.model_copy(update={"teacher_by_class": by_class}),
        }
    )


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (500, True)])
def test_report(
    record: BuildRecord, available: None, monkeypatch: pytest.MonkeyPatch, width: int, dark: bool
) -> None:
    mistake = Mistake(3, _PIXEL, "cat", "<b>dog</b>", 0.97)
    page = render(_full(record), mistakes=(mistake, replace(mistake, index=4)))
    found = _looked_at(page, width, dark, monkeypatch)
    assert found == {"violations": [], "errors": [], "wide": 0, "width": width, "dark": dark}


@pytest.mark.browser
def test_comparison(record: BuildRecord, available: None, monkeypatch: pytest.MonkeyPatch) -> None:
    other = record.model_copy(update={"machine": "another", "recipe": {"seed": 7}})
    page = compare.page(compare.compared({"first": record, "second": other}))
    found = _looked_at(page, 500, False, monkeypatch)
    assert found == {"violations": [], "errors": [], "wide": 0, "width": 500, "dark": False}


@pytest.mark.browser
def test_what_is_wrong_is_found(available: None, monkeypatch: pytest.MonkeyPatch) -> None:
    page = f'<body style="color:#999"><img src="{_PIXEL}">grey<div style="width:900px">wide</div></body>'
    found = _looked_at(page, 500, True, monkeypatch)
    rules = {str(rule).partition(":")[0] for rule in found["violations"]}  # type: ignore[attr-defined]
    assert {"image-alt", "html-has-lang", "color-contrast"} <= rules
    assert found["wide"] == 408  # 900 and a margin of 8 on the left
