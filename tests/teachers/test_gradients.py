"""The differentiable teacher answers as the ordinary one, and says which teachers cannot be one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistill import teachers
from edgedistill.errors import TeacherError
from edgedistill.recipe import TeacherSection
from edgedistill.teachers import gradients
from edgedistill.teachers.preprocess import Preprocess, differentiable


def test_it_answers_as_the_ordinary_teacher_and_has_its_fingerprint() -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(4, 8, 8, 1), dtype=np.uint8)
    ordinary = teachers.load(TeacherSection(), classes=10, image_shape=(8, 8, 1))
    network = gradients.load(TeacherSection(), classes=10)
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).requires_grad_()
    logits = network(pixels)
    np.testing.assert_allclose(logits.detach().numpy(), ordinary.logits(images), rtol=1e-4, atol=1e-4)
    logits.sum().backward()  # type: ignore[no-untyped-call]
    assert pixels.grad is not None and float(pixels.grad.abs().max()) > 0
    assert network.fingerprint == ordinary.fingerprint


@pytest.mark.parametrize("size", [None, (8, 8), (20, 12)])
def test_it_prepares_pixels_as_for_uint8_images(size: tuple[int, int] | None) -> None:
    images = np.random.default_rng(1).integers(0, 256, size=(2, 12, 16, 1), dtype=np.uint8)
    before = Preprocess(3, size, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    np.testing.assert_allclose(differentiable(before, pixels).numpy(), before(images), atol=1e-5)


def test_a_teacher_that_no_gradient_flows_through_is_told(tmp_path: Path) -> None:
    import onnx

    node = onnx.helper.make_node("Flatten", ["x"], ["y"])
    tensors = [
        onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", ["n", 1, 2, 5]), ("y", ["n", 10]))
    ]
    graph = onnx.helper.make_graph([node], "g", tensors[:1], tensors[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "t.onnx"))
    with pytest.raises(TeacherError, match="no gradient flows") as caught:
        gradients.load(TeacherSection(spec=str(tmp_path / "t.onnx")), classes=10)
    assert caught.value.exit_code == 2


def test_probabilities_are_taken_back_to_logits(tmp_path: Path) -> None:
    (tmp_path / "soft.py").write_text(
        "from torch import nn\ndef make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.Softmax(1)).eval()\n"
    )
    section = TeacherSection(spec=f"{tmp_path / 'soft.py'}:make", normalisation="half")
    network = gradients.tried(gradients.load(section, classes=4), (4, 4), 4)
    assert network.soft
    with pytest.raises(TeacherError, match=r"expected \[1, 5\]"):
        gradients.tried(network, (4, 4), 5)
    x = torch.rand(3, 3, 4, 4)
    torch.testing.assert_close(network(x).exp().sum(1), torch.ones(3))
