"""Learned scales: the papers' gradients, the rules kept wherever they move, and the interpreter's bits."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import run
from edgedistill.ir.verify import inexact
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant.execute import GraphNet
from edgedistill.quant.integer import to_integer
from edgedistill.quant.learned import LearnedGraphNet, Quantise
from edgedistill.quant.ranges import choose, observe, separate_fixed_operands
from edgedistill.students import STUDENTS
from tests.lower.test_trace import Zoo, randomised
from tests.quant.test_ranges import Crossing


def made(name: str, seed: int = 0) -> tuple[LearnedGraphNet, Graph, np.ndarray]:
    torch.manual_seed(seed)
    special = {"zoo": Zoo, "crossing": Crossing}
    net = special[name]() if name in special else STUDENTS[name].make(10, 3, width=4)
    graph = separate_fixed_operands(simplify(trace(randomised(net), (16, 16, 3))))
    pixels = np.random.default_rng(seed).integers(-128, 128, (32, 16, 16, 3)).astype(np.int8)
    real = pixels.astype(np.float32) / 64
    return LearnedGraphNet(graph, choose(graph, observe(graph, real, 99.9))), graph, pixels


def images(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 64).permute(0, 3, 1, 2)


def assert_equals_interpreter(net: LearnedGraphNet, pixels: np.ndarray) -> None:
    """Every value that an operator gives, not the logits alone."""
    net.eval()
    seen: dict[str, Tensor] = {}
    with torch.no_grad():
        net(images(pixels))  # sets the scales that hooks compare with
        net.shown_qparams = net.qparams
        for name, layer in net.outputs.named_modules():
            if name:
                layer.register_forward_hook(lambda _, __, y, name=name: seen.__setitem__(name, y))
        net(images(pixels))
    integer = to_integer(net.trained(), net.deployed(), net.weight_scales())
    assert inexact(integer) == ()
    values = run(integer, {"input": pixels}, keep=True)
    for op in integer.ops:
        quant = integer.tensors[op.outputs[0]].quant
        assert quant is not None
        expected = values[op.outputs[0]].astype(np.float32) - quant.zero_point
        got = seen[f"{op.name.replace('.', '/')}/y"]
        got = got.permute(0, 2, 3, 1) if got.ndim == 4 else got
        np.testing.assert_array_equal(got.numpy(), expected, err_msg=op.name)


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "zoo", "crossing"])
def test_starts_as_observed_and_stays_exact_wherever_scales_go(name: str) -> None:
    net, graph, pixels = made(name)
    observed = GraphNet(graph, net.shown_qparams)
    with torch.no_grad():
        assert torch.equal(net(images(pixels)), observed(images(pixels)))
        generator = torch.Generator().manual_seed(1)
        for parameter in (*net.scales.values(), *net.starts.values(), *net.steps.values()):
            parameter.mul_(torch.empty(parameter.shape).uniform_(0.5, 1.6, generator=generator))
    assert_equals_interpreter(net, pixels)


def test_exact_after_training_moved_the_scales() -> None:
    net, _, pixels = made("mobilenet")
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimiser = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    net.train()
    for _ in range(6):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images(pixels)), torch.arange(32) % 10).backward()
        optimiser.step()
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    for kind in ("scales", "starts", "steps"):
        named = [name for name in before if name.startswith(kind)]
        assert named and moved.intersection(named), kind
    assert_equals_interpreter(net, pixels)


def test_gradient_of_an_unsigned_step() -> None:
    """LSQ, equation 3: c - v/s between the ends, the lowest and highest code beyond."""
    steps = torch.tensor([[-3.0, 0.25, 7.7, 254.9, 300.0]], requires_grad=True)
    scale = torch.tensor([0.5], requires_grad=True)
    c = Quantise.apply(steps, scale, None, 0, 255, 0.125)
    assert c.tolist() == [[0, 0, 8, 255, 255]]
    weights = torch.tensor([[1.0, 2.0, 4.0, 8.0, 16.0]])
    (c * weights).sum().backward()
    # the loss is sum w c, so that its gradient by the value s c is w / s
    expected = (0 * 1 + (0 - 0.25) * 2 + (8 - 7.7) * 4 + (255 - 254.9) * 8 + 255 * 16) / 0.5 * 0.125
    assert scale.grad is not None and steps.grad is not None
    assert float(scale.grad) == pytest.approx(expected, rel=1e-5)
    assert steps.grad.tolist() == [[0, 2, 4, 8, 0]]


def test_gradients_of_a_step_with_a_learned_start() -> None:
    """LSQ+, equations 4 and 5: the codes -128 and 127 beyond the ends; there the start moves with slope 1."""
    steps = torch.tensor([[-100.0, 10.4, 300.0]], requires_grad=True)
    scale, start = torch.tensor([0.25], requires_grad=True), torch.tensor([7.0], requires_grad=True)
    zero_point = -28  # codes from -128 to 127 are c from -100 to 155
    c = Quantise.apply(steps * 1.1, scale, start, -128 - zero_point, 127 - zero_point, 1.0)
    assert c.tolist() == [[-100, 11, 155]]
    (c * torch.tensor([[1.0, 2.0, 4.0]])).sum().backward()
    assert scale.grad is not None and start.grad is not None
    assert float(scale.grad) == pytest.approx((-128 * 1 + (11 - 11.44) * 2 + 127 * 4) / 0.25, rel=1e-5)
    assert float(start.grad) == pytest.approx((1 + 4) / 0.25)


def test_gradients_of_weights_are_per_channel() -> None:
    w = torch.tensor([[0.3, -2.0], [0.26, 0.1]], requires_grad=True)
    scale = torch.tensor([0.01, 0.1], requires_grad=True)
    c = Quantise.apply(w / scale.detach().view(-1, 1), scale, None, -127, 127, 1.0)
    assert c.tolist() == [[30, -127], [3, 1]]
    (c * scale.detach().view(-1, 1)).sum().backward()
    assert scale.grad is not None and w.grad is not None
    np.testing.assert_allclose(scale.grad, [-127 + (30 - 30), (3 - 2.6) + (1 - 1)], atol=1e-4)
    np.testing.assert_allclose(w.grad, [[1, 0], [1, 1]])


def test_the_networks_gradient_is_the_papers_with_its_factor() -> None:
    """One layer, loss sum of its output: the gradient by hand, through the graph's own scales."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    graph = separate_fixed_operands(simplify(trace(net, (4, 4, 3))))
    real = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    learned = LearnedGraphNet(graph, choose(graph, observe(graph, real, 90)))
    x = torch.from_numpy(real).permute(0, 3, 1, 2)
    learned(x).sum().backward()
    with torch.no_grad():
        op = graph.ops[-1]
        s_y = float(learned.deployed()[op.outputs[0]].scale[0])
        values = GraphNet.forward(learned, x) / s_y
        name = next(n for n in learned.scales if n.startswith(op.outputs[0].replace(".", "/")))
    quantised = torch.round(values)
    seen: dict[str, Tensor] = {}
    original = learned._requantised

    def watched(op, x, q):  # type: ignore[no-untyped-def]
        seen[op.name] = original(op, x, q)
        return seen[op.name]

    learned._requantised = watched  # type: ignore[method-assign]
    learned(x)
    v = seen[op.name].detach()
    low, high = (end - learned.deployed()[op.outputs[0]].zero_point for end in (-128, 127))
    inside = (torch.round(v) >= low) & (torch.round(v) <= high)
    code = quantised - low - 128
    expected = torch.where(inside, quantised - v, code).sum() / np.sqrt(2 * 127)
    gradient = learned.scales[name].grad
    assert gradient is not None
    assert float(gradient) == pytest.approx(float(expected), rel=1e-3)


def test_no_scale_drifts_beyond_what_a_relu6_allows() -> None:
    net, _, pixels = made("crossing")
    slot = next(iter(net._largest))
    with torch.no_grad():
        net.scales[slot].fill_(9.0)
    net.train()
    net(images(pixels))
    assert float(net.scales[slot].detach()) * 255 <= 6
    assert inexact(to_integer(net.trained(), net.deployed(), net.weight_scales())) == ()
    with torch.no_grad():
        for parameter in (*net.scales.values(), *net.steps.values()):
            parameter.fill_(-1.0)
    net(images(pixels))
    assert all(float(p.detach().min()) > 0 for p in (*net.scales.values(), *net.steps.values()))
    assert inexact(to_integer(net.trained(), net.deployed(), net.weight_scales())) == ()


def test_hooks_see_real_values_while_scales_move() -> None:
    net, graph, pixels = made("resnet")
    name = f"outputs.{graph.ops[0].name.replace('.', '/')}/y"
    layer, first = dict(net.named_modules())[name], net.scale_of(name)
    seen: list[Tensor] = []
    layer.register_forward_hook(lambda _, __, y: seen.append(y * net.scale_of(name)))
    net(images(pixels))
    slot = next(s for s, members in net._members.items() if graph.ops[0].outputs[0] in members)
    with torch.no_grad():
        net.scales[slot].mul_(1.25)
    net(images(pixels))
    assert net.scale_of(name) == first
    largest = float(seen[0].detach().max())
    assert (
        float((seen[0] - seen[1].clamp(max=largest)).abs().max()) < 0.02 * largest
    )  # by the old scale alone, a fifth
