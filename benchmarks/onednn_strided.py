"""Shows which convolutions of this machine's torch do not repeat themselves (see LOG.md).

    python benchmarks/onednn_strided.py

Each case runs in a process of its own, for the faulty one can abort it.
"""

from __future__ import annotations

import subprocess
import sys

CASES = ("4 8 1 2 8 1", "4 8 1 2 8 0", "4 8 1 1 8 1", "4 8 3 2 9 1", "16 32 1 2 32 1", "32 64 1 2 16 1")


def case(inputs: int, outputs: int, kernel: int, stride: int, side: int, channels_last: int) -> int:
    """How many of 200 repeats gave other bits than the first."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    conv = torch.nn.Conv2d(inputs, outputs, kernel, stride).to(memory_format=layout)
    x = torch.randn(32, inputs, side, side).contiguous(memory_format=layout).requires_grad_()
    first: list[torch.Tensor] | None = None
    different = 0
    for _ in range(200):
        conv.zero_grad()
        x.grad = None
        _between = torch.zeros(int(torch.randint(1, 9999, (1,))))
        y = conv(x)
        y.square().mean().backward()
        now = [t.detach().clone() for t in (y, conv.weight.grad, x.grad) if t is not None]
        first = first or now
        different += any(not torch.equal(a, b) for a, b in zip(first, now, strict=True))
    return different


def main() -> None:
    if len(sys.argv) > 1:
        print(case(*(int(v) for v in sys.argv[1:])))
        return
    print("inputs outputs kernel stride side channels-last: repeats of 200 with other bits")
    for text in CASES:
        run = subprocess.run(
            [sys.executable, __file__, *text.split()], capture_output=True, text=True, check=False
        )
        print(f"{text}: {run.stdout.strip() or f'process ended by signal {-run.returncode}'}")


if __name__ == "__main__":
    main()
