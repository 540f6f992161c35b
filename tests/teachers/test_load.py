"""teachers.load: every form of teacher, and what is said about those that cannot be used."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from torch import nn

from edgedistill import teachers
from edgedistill.errors import TeacherError, UnknownNameError
from edgedistill.recipe import TeacherSection
from edgedistill.teachers.types import Teacher

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=3, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.fc = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.fc(self.conv(x).relu().mean(dim=(2, 3)))

def make(num_classes=3):
    torch.manual_seed(0)
    return Net(num_classes)

def grey():
    return Net(3, 1)

def in_a_tuple():
    class Pair(Net):
        def forward(self, x):
            return super().forward(x), x
    torch.manual_seed(0)
    return Pair()

def number():
    return 7

def fails():
    raise KeyError("lost")

def fixed_size():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
"""


class Net(nn.Module):
    """The same as in NET, for the weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(self.conv(x).relu().mean(dim=(2, 3)))
        return out


@pytest.fixture
def nets(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(NET)
    return f"{tmp_path}/nets.py"


def images(count: int = 7, side: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def expected(x: np.ndarray, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    with torch.inference_mode():
        scaled = (torch.from_numpy(x).permute(0, 3, 1, 2) / 255 - mean) / std
        out: np.ndarray = Net().eval()(scaled).numpy()
    return out


def load(
    spec: str, side: int = 8, channels: int = 3, classes: int = 3, trust: bool = False, **more: object
) -> Teacher:
    section = TeacherSection.model_validate({"spec": spec, "normalisation": "unit", **more})
    return teachers.load(section, classes=classes, image_shape=(side, side, channels), trust=trust)


def refused(spec: str, **more: object) -> str:
    with pytest.raises(TeacherError) as caught:
        load(spec, **more)  # type: ignore[arg-type]
    assert caught.value.fix and caught.value.where
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["pt", "pth", "th", "ckpt", "safetensors"])
def test_checkpoint_gives_the_networks_logits(tmp_path: Path, nets: str, suffix: str) -> None:
    file = tmp_path / f"w.{suffix}"
    state = Net().state_dict()
    save_file(state, file) if suffix == "safetensors" else torch.save(state, file)
    teacher = load(f"{file}@{nets}:make", batch=3)
    np.testing.assert_allclose(teacher.logits(images()), expected(images()), atol=1e-6)
    assert teacher.parameters == 127 and teacher.notes == () and len(teacher.fingerprint) == 64
    assert teacher.logits(images(0)).shape == (0, 3)


def test_nested_state_and_prefix_are_found_and_said(tmp_path: Path, nets: str) -> None:
    state = {f"module.model.{k}": v for k, v in Net().state_dict().items()}
    torch.save({"epoch": 3, "model": {"state_dict": state}}, tmp_path / "w.pt")
    teacher = load(f"{tmp_path}/w.pt@{nets}:make")
    np.testing.assert_allclose(teacher.logits(images()), expected(images()), atol=1e-6)
    assert teacher.notes == (
        "the state dict was found under 'model.state_dict'",
        "the prefix 'module.' was stripped from all 4 keys",
        "the prefix 'model.' was stripped from all 4 keys",
    )


def test_weights_of_another_network(tmp_path: Path, nets: str) -> None:
    state = Net().state_dict()
    wrong = {"conv.weight": state["conv.weight"], "fc.weight": torch.zeros(9, 4), "head.bias": torch.zeros(3)}
    torch.save(wrong, tmp_path / "w.pt")
    text = refused(f"{tmp_path}/w.pt@{nets}:make")
    assert "2 missing in the file: conv.bias, fc.bias" in text
    assert "1 unknown to the network: head.bias" in text
    assert "1 of other shape: fc.weight: file [9, 4], network [3, 4]" in text


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_file(tmp_path: Path, nets: str, suffix: str, share: float) -> None:
    file = tmp_path / f"w.{suffix}"
    save_file(Net().state_dict(), file) if suffix == "safetensors" else torch.save(Net().state_dict(), file)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    text = refused(f"{file}@{nets}:make")
    assert "truncated" in text and str(file) in text


def test_pickled_code_needs_trust_and_is_not_run(tmp_path: Path, nets: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Net().state_dict(), "args": Bomb()}, tmp_path / "w.pt")
    text = refused(f"{tmp_path}/w.pt@{nets}:make")
    assert "can run code" in text and "--trust" in text and not (tmp_path / "ran").exists()
    load(f"{tmp_path}/w.pt@{nets}:make", trust=True)
    assert (tmp_path / "ran").exists()


def test_a_whole_module_is_taken_with_trust(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), tmp_path / "w.pt")
    assert load(f"{tmp_path}/w.pt", trust=True).notes == ("the file holds a whole module",)


def test_weights_without_architecture_or_without_state(tmp_path: Path, nets: str) -> None:
    torch.save(Net().state_dict(), tmp_path / "w.pt")
    text = refused(f"{tmp_path}/w.pt")
    assert "no architecture" in text and "w.pt@package.module:callable" in text
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "e.pt")
    assert "no state dict in the file: it holds a dict with keys epoch, loss" in refused(
        f"{tmp_path}/e.pt@{nets}:make"
    )
    (tmp_path / "t.pt").write_text("hello")
    assert "truncated or no torch file" in refused(f"{tmp_path}/t.pt@{nets}:make")
    (tmp_path / "p.pt").write_bytes(pickle.dumps([1, 2], protocol=2))
    assert "torch file" in refused(f"{tmp_path}/p.pt@{nets}:make")


@pytest.mark.parametrize(
    "spec", ["none.pt@m:f", "none.safetensors@m:f", "none.pt2", "none.onnx", "keras:none.keras"]
)
def test_no_such_file(spec: str) -> None:
    assert "no such file" in refused(spec)


def test_python_modules(nets: str) -> None:
    np.testing.assert_allclose(load(f"{nets}:make").logits(images()), expected(images()), atol=1e-6)
    np.testing.assert_allclose(load(f"{nets}:in_a_tuple").logits(images()), expected(images()), atol=1e-6)
    assert "returned a int" in refused(f"{nets}:number")
    assert "failed: KeyError: 'lost'" in refused(f"{nets}:fails")
    assert "has no 'nothing'" in refused(f"{nets}:nothing")
    assert "there is no module 'nowhere_at_all'" in refused("nowhere_at_all:make")


def test_wrong_size_classes_and_channels(nets: str) -> None:
    assert "fails on an image [12, 12, 3]" in refused(f"{nets}:fixed_size", side=12)
    assert load(f"{nets}:fixed_size", side=12, resolution=8).logits(images(2, 12)).shape == (2, 3)
    text = refused(f"{nets}:fixed_size", classes=5)
    assert "answers with shape [1, 3]" in text and "expected [1, 5]" in text and "5 classes" in text
    assert "takes 1 channel(s), the images have 3" in refused(f"{nets}:grey")


def test_grey_images_are_repeated_for_a_colour_teacher(nets: str) -> None:
    grey = images(channels=1)
    out = load(f"{nets}:make", channels=1).logits(grey)
    np.testing.assert_allclose(out, expected(np.repeat(grey, 3, axis=3)), atol=1e-6)


def test_exported_program(tmp_path: Path) -> None:
    batch = {"x": {0: torch.export.Dim("n", min=1, max=512)}}
    program = torch.export.export(Net().eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=batch)
    torch.export.save(program, tmp_path / "free.pt2")
    torch.export.save(torch.export.export(Net().eval(), (torch.zeros(2, 3, 8, 8),)), tmp_path / "two.pt2")
    for name, notes in (("free", ()), ("two", ("the network takes 2 image(s) at a time",))):
        teacher = load(f"{tmp_path}/{name}.pt2", side=8)
        np.testing.assert_allclose(teacher.logits(images()), expected(images()), atol=1e-6)
        assert teacher.notes == notes
    assert load(f"{tmp_path}/two.pt2", side=12).logits(images(3, 12)).shape == (3, 3)  # resized to 8x8
    (tmp_path / "bad.pt2").write_bytes(b"hello")
    assert "the file is no exported program" in refused(f"{tmp_path}/bad.pt2")


def onnx_file(path: Path, shape: list[int | str], last: bool = False) -> Path:
    """Net as ONNX; ``last``: the input is NHWC."""
    state = {k: v.numpy() for k, v in Net().state_dict().items()}
    constants = [helper.make_tensor(k, TensorProto.FLOAT, v.shape, v.ravel()) for k, v in state.items()]
    first = [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])] if last else []
    nodes = [
        *first,
        helper.make_node(
            "Conv", ["t" if last else "x", "conv.weight", "conv.bias"], ["c"], pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["y"], transB=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], 3])
    graph = helper.make_graph(nodes, "net", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("last", [False, True])
def test_onnx_layouts_and_batches(tmp_path: Path, batch: int | str, last: bool) -> None:
    file = onnx_file(tmp_path / "a.onnx", [batch, 8, 8, 3] if last else [batch, 3, 8, 8], last)
    teacher = load(str(file))
    np.testing.assert_allclose(teacher.logits(images()), expected(images()), atol=1e-5)
    assert teacher.notes[0] == f"the input layout is {'NHWC' if last else 'NCHW'}"
    assert len(teacher.notes) == (2 if batch == 1 else 1)


@pytest.mark.parametrize("batch", [2, "n"])
@pytest.mark.parametrize("last", [False, True])
def test_onnx_shows_its_values(tmp_path: Path, batch: int | str, last: bool) -> None:
    file = onnx_file(tmp_path / "a.onnx", [batch, 8, 8, 3] if last else [batch, 3, 8, 8], last)
    inside = load(str(file), batch=4).inside
    assert inside is not None
    everything = inside(images(), None)
    assert list(everything.features) == [*(["t"] if last else []), "c", "r", "g", "f", "y"]
    shapes = {name: value.shape for name, value in everything.features.items()}
    assert (shapes["r"], shapes["f"]) == ((7, 4, 8, 8), (7, 4))
    np.testing.assert_allclose(everything.logits, expected(images()), atol=1e-5)
    some = inside(images(), ("r",))
    assert list(some.features) == ["r"]
    np.testing.assert_allclose(some.features["r"], np.maximum(everything.features["c"], 0))
    np.testing.assert_allclose(some.logits, everything.logits, atol=1e-6)


def test_a_module_shows_its_layers_in_one_pass(nets: str) -> None:
    inside = load(f"{nets}:make", batch=4).inside
    assert inside is not None
    answers = inside(images(), None)
    assert list(answers.features) == ["conv", "fc"]
    np.testing.assert_allclose(answers.features["fc"], answers.logits)
    np.testing.assert_allclose(answers.logits, expected(images()), atol=1e-6)
    assert inside(images(), ()).features == {}


def test_an_exported_program_shows_no_layers(tmp_path: Path) -> None:
    program = torch.export.export(Net().eval(), (torch.zeros(1, 3, 8, 8),))
    torch.export.save(program, tmp_path / "a.pt2")
    assert load(f"{tmp_path}/a.pt2").inside is None


def test_files_that_are_no_onnx(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"hello")
    assert "no ONNX model" in refused(f"{tmp_path}/a.onnx")
    whole = onnx_file(tmp_path / "b.onnx", [1, 3, 8, 8])
    whole.write_bytes(whole.read_bytes()[:150])
    assert "no ONNX model" in refused(str(whole))


def test_onnx_with_another_kind_of_input(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "a.onnx")
    assert "the model's inputs are x tensor(float) [1, 5]" in refused(f"{tmp_path}/a.onnx")


@pytest.mark.parametrize(
    ("library", "spec"),
    [("timm", "timm:resnet18"), ("transformers", "hf:no/model"), ("tensorflow", "keras:a.keras")],
)
def test_missing_extras_say_what_to_install(
    library: str, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else real(name))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.keras").write_bytes(b"x")
    text = refused(spec)
    assert f"needs {library}, which is not installed" in text and "pip install 'edgedistill[" in text


def test_unknown_specs(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"known: FILE\.onnx, FILE\.pt2"):
        load("digitz")
    (tmp_path / "a.bin").write_bytes(b"x")
    assert "a .bin is not a known kind of teacher" in refused(f"{tmp_path}/a.bin")


def test_fingerprint_follows_weights_and_normalisation(tmp_path: Path, nets: str) -> None:
    one, same = load(f"{nets}:make"), load(f"{nets}:make")
    other = load(f"{nets}:make", normalisation="half")
    state = {k: v + 1 for k, v in Net().state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    moved = load(f"{tmp_path}/w.pt@{nets}:make")
    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, other.fingerprint, moved.fingerprint}) == 3


def test_threads_are_left_alone(nets: str) -> None:
    before = torch.get_num_threads()
    load(f"{nets}:make").logits(images())
    assert torch.get_num_threads() == before


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_told_apart(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(Net().eval(), torch.zeros(1, 3, 8, 8)), tmp_path / "s.pt")
    text = refused(f"{tmp_path}/s.pt")
    assert "is a TorchScript archive" in text and ".pt2" in text


def test_pickle_that_cannot_be_unpickled_even_with_trust(tmp_path: Path, nets: str) -> None:
    class Failing:
        def __reduce__(self) -> tuple[object, ...]:
            return (int, ("no number",))

    torch.save({"state_dict": Net().state_dict(), "args": Failing()}, tmp_path / "w.pt")
    assert "unpickling failed: ValueError" in refused(f"{tmp_path}/w.pt@{nets}:make", trust=True)


def test_exported_program_with_another_kind_of_input(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(5, 3).eval(), (torch.zeros(2, 5),))
    torch.export.save(program, tmp_path / "a.pt2")
    assert "the network takes 1 inputs of shapes [['2', '5']]" in refused(f"{tmp_path}/a.pt2")


def test_a_network_that_returns_no_tensor(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from torch import nn\nclass Odd(nn.Module):\n    def forward(self, x): return 'cat'\n"
    )
    assert "the network returned a str" in refused(f"{tmp_path}/odd.py:Odd")
