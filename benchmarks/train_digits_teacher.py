"""Trains the built-in digits teacher; writes models/digits/teacher.safetensors and prints its figures.

Run from the repository root: ``python benchmarks/train_digits_teacher.py``
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file

from edgedistill import data
from edgedistill.data.augment import augment
from edgedistill.recipe import DataSection
from edgedistill.teachers.architectures import digits_teacher, parameter_count

EPOCHS, BATCH, LR, SEED = 60, 64, 4e-3, 0
OUT = Path(__file__).resolve().parent.parent / "models" / "digits" / "teacher.safetensors"


def normalised(images_NHWC: NDArray[np.uint8]) -> torch.Tensor:
    """(x / 255 - 0.5) / 0.5 as [N,C,H,W]."""
    return torch.from_numpy((images_NHWC.astype(np.float32) / 255 - 0.5) / 0.5).permute(0, 3, 1, 2)


@torch.no_grad()
def accuracy(model: torch.nn.Module, split: data.Split) -> float:
    model.eval()
    top = model(normalised(split.images_NHWC)).argmax(1).numpy()
    return float((top == split.labels).mean())


def main() -> None:
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as cache:
        digits = data.load(DataSection(), seed=SEED, cache=Path(cache))
        images, labels = np.array(digits.train.images_NHWC), torch.from_numpy(np.array(digits.train.labels))
        model = digits_teacher()
        optimiser = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=1e-2)
        steps = EPOCHS * (len(images) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=steps)
        started = time.perf_counter()
        for _ in range(EPOCHS):
            model.train()
            order = rng.permutation(len(images))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                rows = order[start : start + BATCH]
                batch = augment(images[rows], ("translate", "rotate-small", "brightness-contrast"), rng)
                loss = F.cross_entropy(model(normalised(batch)), labels[rows], label_smoothing=0.05)
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
                schedule.step()
        print(f"{parameter_count(model)} parameters, {time.perf_counter() - started:.0f} s")
        for name, split in (
            ("train", digits.train),
            ("validation", digits.validation),
            ("test", digits.test),
        ):
            print(f"{name}: {accuracy(model, split):.4f} of {len(split)}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, OUT)
    print(f"{OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
