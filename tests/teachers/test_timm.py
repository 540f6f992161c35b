"""Networks of timm with weights from a file; needs timm and torchvision, an extra."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgedistill import teachers
from edgedistill.errors import TeacherError, UnknownNameError
from edgedistill.recipe import TeacherSection
from edgedistill.teachers import torchvision

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
with_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")


def load(spec: str, **more: Any) -> Any:
    return teachers.load(
        TeacherSection(spec=spec, normalisation="imagenet", **more), classes=4, image_shape=(32, 32, 3)
    )


@with_timm
def test_weights_from_a_file_answer_as_timm_does(tmp_path: Path) -> None:
    torchvision.make_importable()
    import timm

    torch.manual_seed(0)
    net = timm.create_model("resnet10t", pretrained=False, num_classes=4).eval()
    path = tmp_path / "mine.safetensors"
    save_file(net.state_dict(), path)
    teacher = load(f"timm:resnet10t@{path}", resolution=32)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.from_numpy(((IMAGES / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        np.testing.assert_allclose(teacher.logits(IMAGES), net(x).numpy(), rtol=1e-4, atol=1e-4)


@with_timm
def test_an_unknown_network_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load("timm:resnet81")
    assert "resnet" in str(caught.value)


@with_timm
def test_weights_of_another_network_are_listed(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(4, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(TeacherError, match="the weights do not fit"):
        load(f"timm:resnet10t@{tmp_path / 'other.safetensors'}")


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_without_it_the_extra_is_named() -> None:
    with pytest.raises(TeacherError) as caught:
        load("timm:resnet18")
    assert "edgedistill[timm]" in str(caught.value.fix)
