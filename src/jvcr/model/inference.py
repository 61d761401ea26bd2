"""The network for inference, in its fastest form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jvcr.model.jvcr import JVCR, normalise
from jvcr.model.regressor import CoordinateNetwork, columns_as_channels


class Inference(nn.Module):
    """crops → (compact volume, points_unit), both float32. G is the model's own, P re-parameterised."""

    def __init__(self, model: JVCR) -> None:
        super().__init__()
        self.voxel = model.voxel
        self.coordinate = PlanarCoordinateNetwork(model.coordinate)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, S, 3) uint8 crops → volume (B, D, H, W), points (B, N, 3) in the unit frame."""
        volume = self.voxel(normalise(crops))[-1]
        return volume.float(), self.coordinate(volume).float()


class PlanarCoordinateNetwork(nn.Module):
    """P with its 3D convolutions written as 2D ones: runtimes have fast 2D convolutions and slow 3D ones.

    A plane of a 3D convolution's output reads as many neighbouring planes as the kernel is deep. They are stacked as
    channels, and all output planes go through one 2D convolution as a batch. Between P's last convolution and its
    linear layer there is nothing: they are one matrix.
    """

    def __init__(self, network: CoordinateNetwork) -> None:
        super().__init__()
        *strided, last = network.convolutions
        layers = [_StackedLayer(*strided[start : start + 3]) for start in range(0, len(strided), 3)]
        self.layers = nn.Sequential(*layers)
        self.linear = _merged(last, network.linear)
        self.n_points, self.subvoxels = network.n_points, network.subvoxels

    def forward(self, volume: Tensor) -> Tensor:
        """(B, D, H, W) volume → (B, N, 3) points in the unit frame."""
        features = self.layers(columns_as_channels(volume, self.subvoxels)).flatten(1)
        with torch.autocast(features.device.type, enabled=False):
            offsets = self.linear(features.float())
        return 0.5 + offsets.view(-1, self.n_points, 3)


class _StackedLayer(nn.Module):
    """3D convolution, batch norm and activation of (B, D, C, H, W), whose depth is second."""

    def __init__(self, convolution: nn.Module, norm: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        assert isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d)
        assert not isinstance(convolution.padding, str) and convolution.bias is not None
        # P's kernels are cubes.
        kernel, self.step, self.margin = convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]
        assert kernel == 2 * self.step
        weight = convolution.weight.detach().transpose(1, 2).flatten(1, 2)
        flat = nn.Conv2d(weight.shape[1], weight.shape[0], kernel, self.step, self.margin)
        flat.load_state_dict({"weight": weight, "bias": convolution.bias.detach()})
        flat_norm = nn.BatchNorm2d(norm.num_features, norm.eps)
        flat_norm.load_state_dict(norm.state_dict())
        self.plane = nn.Sequential(flat, flat_norm, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, 0) * 3 + (self.margin, self.margin))
        # Strides are half a kernel: each output plane reads two neighbouring steps.
        steps = x.unflatten(1, (-1, self.step)).flatten(2, 3)
        stacked = torch.cat([steps[:, :-1], steps[:, 1:]], dim=2)
        return self.plane(stacked.flatten(0, 1)).unflatten(0, (-1, stacked.shape[1]))


def _merged(convolution: nn.Module, linear: nn.Linear) -> nn.Linear:
    """A convolution of the size of its input (B, C, D, H, W) and a linear layer, as one layer of (B, D, C, H, W)."""
    assert isinstance(convolution, nn.Conv3d) and convolution.bias is not None
    outer = linear.weight.detach().double()
    inner = convolution.weight.detach().double().transpose(1, 2).flatten(1)
    merged = nn.Linear(inner.shape[1], linear.out_features)
    bias = outer @ convolution.bias.detach().double() + linear.bias.detach().double()
    merged.load_state_dict({"weight": (outer @ inner).float(), "bias": bias.float()})
    return merged
