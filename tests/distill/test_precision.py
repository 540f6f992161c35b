"""bf16 is chosen only by a processor that has it, and only where it is faster."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.distill import precision

NET = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.LazyLinear(2))
X = torch.randn(4, 1, 6, 6)
NET(X)


@pytest.mark.parametrize(
    ("capabilities", "there"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False, "cpu_name": "bf16"}, False),
        ({"avx512_bf16": True}, True),
        ({"bf16": True, "l2_cache_size": 1}, True),
    ],
)
def test_capabilities(monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, object], there: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert precision.computes_bf16() is there


def test_a_processor_without_bf16_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bf16", lambda: False)
    monkeypatch.setattr(precision, "_step_s", lambda *_: pytest.fail("timed"))
    assert precision.choose(NET, X) == "float32"


@pytest.mark.parametrize(("bf16_s", "chosen"), [([9.0, 1.0], "bf16"), ([1.9, 1.9], "float32")])
def test_the_fastest_step_counts(monkeypatch: pytest.MonkeyPatch, bf16_s: list[float], chosen: str) -> None:
    times = {
        "float32": [2.0] * precision.ATTEMPTS,
        "bf16": (bf16_s * precision.ATTEMPTS)[: precision.ATTEMPTS],
    }
    monkeypatch.setattr(precision, "computes_bf16", lambda: True)
    monkeypatch.setattr(precision, "_step_s", lambda net, x, kind: times[kind].pop())
    assert precision.choose(NET, X) == chosen


def test_the_network_keeps_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bf16", lambda: True)
    before = {name: value.clone() for name, value in NET.state_dict().items()}
    precision.choose(NET, X)
    assert all(torch.equal(before[name], value) for name, value in NET.state_dict().items())
    assert all(p.grad is None for p in NET.parameters())
