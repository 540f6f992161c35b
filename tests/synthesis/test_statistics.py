"""The measured BatchNorm against torch's own and autograd's gradients, the loss against its formula."""

import pytest
import torch
from torch import Tensor, nn

from edgedistill.errors import TeacherError
from edgedistill.synthesis.statistics import MeasuredBatchNorm, _NormAndMoments, measured


def trained(channels: int, *, affine: bool = True) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, affine=affine)
    with torch.no_grad():
        layer.running_mean = torch.linspace(-1, 2, channels)
        layer.running_var = torch.linspace(0.5, 3, channels)
        if affine:
            layer.weight.copy_(torch.linspace(-1, 1.5, channels))
            layer.bias.copy_(torch.linspace(0.3, -0.7, channels))
    return layer.eval()


@pytest.mark.parametrize("affine", [True, False])
def test_answers_as_batch_norm_does_and_measures_its_input(affine: bool) -> None:
    layer = trained(5, affine=affine)
    twin = MeasuredBatchNorm(layer)
    x = torch.randn(4, 5, 6, 3, generator=torch.Generator().manual_seed(0)) * 2 + 1
    torch.testing.assert_close(twin(x), layer(x))
    variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
    assert twin.seen is not None
    torch.testing.assert_close(twin.seen, (mean, variance))


def test_the_gradients_are_those_of_separate_operators() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64).requires_grad_()
    scale = torch.tensor([0.5, -2.0], dtype=torch.float64)
    shift = torch.tensor([1.0, 0.25], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: _NormAndMoments.apply(v, scale, shift), (x,))


def test_the_loss_is_the_sum_of_distances() -> None:
    net, statistics = measured(nn.Sequential(trained(2)), "net")
    x = torch.zeros(2, 2, 1, 2)  # channel 0: mean 3, variance 1; channel 1: mean 0, variance 0
    x[:, 0] = torch.tensor([2.0, 4.0])
    net(x)
    mean = ((3 - -1) ** 2 + (0 - 2) ** 2) ** 0.5
    variance = ((1 - 0.5) ** 2 + (0 - 3) ** 2) ** 0.5
    assert float(statistics.loss()) == pytest.approx(mean + variance)


def test_earlier_batches_count_with_momentum() -> None:
    net, statistics = measured(nn.Sequential(nn.BatchNorm2d(1).eval()), "net", momentum=0.75)

    def distance(value: float) -> float:
        net(torch.full((2, 1, 1, 1), value))
        return float(statistics.loss())  # the stored mean is 0 and the stored variance 1

    assert distance(4.0) == pytest.approx(4 + 1)
    statistics.remember()
    assert distance(-4.0) == pytest.approx(0.75 * 4 - 0.25 * 4 + 1)
    statistics.remember()  # the blend, 2, is remembered
    assert distance(-6.0) == pytest.approx(abs(0.75 * 2 - 0.25 * 6) + 1)


def test_layers_that_do_not_run_do_not_count() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)  # type: ignore[no-any-return]

    net, statistics = measured(Auxiliary(), "net")
    net(torch.zeros(2, 1, 2, 2))
    assert float(statistics.loss()) == pytest.approx(1)


def test_the_network_itself_stays_as_it_is() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), trained(2))
    measured(net, "net")
    assert isinstance(net[1], nn.BatchNorm2d) and all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize(
    "layers", [[nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2)], [nn.BatchNorm2d(2, track_running_stats=False)]]
)
def test_a_teacher_without_statistics_is_told(layers: list[nn.Module]) -> None:
    with pytest.raises(TeacherError, match="no BatchNorm2d layer") as caught:
        measured(nn.Sequential(*layers), "plain")
    assert "teacher plain" in str(caught.value) and caught.value.exit_code == 2
