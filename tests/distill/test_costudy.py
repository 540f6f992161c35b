"""Co-studying: each network learns from the other's answers, and only its own loss reaches it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgedistill.distill.costudy import CoStudy
from edgedistill.distill.losses import hinton
from edgedistill.distill.mix import Batch
from edgedistill.teachers.gradients import Network
from edgedistill.teachers.preprocess import Preprocess
from edgedistill.teachers.types import Teacher


def made() -> tuple[CoStudy, nn.Module]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    before = Preprocess(1, None, (0.0,), (1.0,))
    network = Network("toy", module, before, "toy", torch.contiguous_format)
    return CoStudy(network, temperature=3.0, alpha=0.8), module


def test_each_gradient_is_of_its_own_loss() -> None:
    study, module = made()
    pixels = torch.rand(5, 1, 4, 4)
    labels = torch.arange(5) % 3
    out = torch.randn(5, 3, requires_grad=True)
    batch = Batch(soft=None, labels=labels, indices=labels, teacher={}, images=(pixels * 255 - 128) / 64)
    torch.stack(list(study(out, {}, batch, None).values())).sum().backward()
    linear = module[1]
    assert out.grad is not None and linear.weight.grad is not None
    answers = module(pixels)
    (student,) = torch.autograd.grad(hinton(out, answers.detach(), labels, 3.0, 0.8), out)
    (teacher,) = torch.autograd.grad(hinton(answers, out.detach(), labels, 3.0, 0.5), linear.weight)
    torch.testing.assert_close(out.grad, student)
    torch.testing.assert_close(linear.weight.grad, teacher, rtol=1e-4, atol=1e-6)


def test_the_teacher_answers_with_what_it_has_learned() -> None:
    study, module = made()
    with torch.no_grad():
        module[1].bias.add_(5)
    frozen = study.frozen(Teacher("toy", lambda images: np.zeros((len(images), 3), np.float32), "toy"))
    images = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 1)).astype(np.uint8)
    expected = module(torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2))
    np.testing.assert_allclose(frozen.logits(images), expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert not any(p.requires_grad for p in module.parameters())
