"""The network as it is exported for inference: re-parameterised to run fast, with the same outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jvcr.model.hourglass import FineHead, VoxelNetwork
from jvcr.model.jvcr import JVCR, normalise
from jvcr.model.regressor import CoordinateNetwork


class Inference(nn.Module):
    """Crops → (compact volume in cells, points_unit), both float32. G's last layers and P are re-parameterised.

    G computes a fine volume as cells of s × s columns, and P reads that layout directly. So the volume is never
    rearranged to (B, D, H, W).
    """

    def __init__(self, model: JVCR) -> None:
        super().__init__()
        self.side = model.config.subvoxels
        self.voxel = CellVoxelNetwork(model.voxel)
        self.coordinate = PlanarCoordinateNetwork(model.coordinate)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, S, 3) uint8 crops → cells (B, D, s, s, H/s, W/s), the layout of ``jvcr.volume.unfolded``, and points
        (B, N, 3) in the unit frame."""
        cells = self.voxel(normalise(crops)).unflatten(1, (-1, self.side, self.side))
        return cells.float(), self.coordinate(cells.flatten(2, 3)).float()


class CellVoxelNetwork(nn.Module):
    """G: images (B, 3, S, S), normalised → its last volume in cells (B, D·s², H/s, W/s). Shares G's layers."""

    def __init__(self, network: VoxelNetwork) -> None:
        super().__init__()
        self.stem, self.hourglasses, self.heads = network.stem, network.hourglasses, network.heads
        self.fine_head = None if network.fine_head is None else CellHead(network.fine_head)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, D·s², H/s, W/s)."""
        half, x = self.stem(images)
        volume = x
        for hourglass, head in zip(self.hourglasses, self.heads, strict=False):
            volume, x = head(x, hourglass(x))
        return volume if self.fine_head is None else self.fine_head(self.hourglasses[-1](x), half)


class CellHead(nn.Module):
    """A ``FineHead`` that returns the volume in cells.

    Only the features of the detail branch, which have few channels, are rearranged, not the volume. The branch's last
    convolution, which predicts one column of voxels from the features of that column, is replaced by a convolution
    that predicts the 2 × 2 columns of a cell.
    """

    def __init__(self, head: FineHead) -> None:
        super().__init__()
        self.depth, self.block, self.columns, self.from_stem = head.depth, head.block, head.columns, head.from_stem
        self.detail = None
        if head.detail is not None:
            *layers, last = head.detail
            self.detail = nn.Sequential(*layers, _per_cell(last))

    def forward(self, features: Tensor, stem: Tensor) -> Tensor:
        """(B, C, H, W) features of the last hourglass, and (B, C', 2H, 2W) of the stem → (B, D·4, H, W)."""
        columns = self.columns(self.block(features))
        if self.detail is None or self.from_stem is None:
            return columns
        volume, detail = columns[:, : 4 * self.depth], columns[:, 4 * self.depth :]
        return volume + self.detail(F.pixel_shuffle(detail, 2) + self.from_stem(stem))


def _per_cell(convolution: nn.Module) -> nn.Conv2d:
    """Merge a 1 × 1 convolution and the space-to-depth step after it into one convolution of stride 2."""
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    weight = convolution.weight.detach()[:, :, 0, 0]
    channels, inputs = weight.shape
    cell = nn.Conv2d(inputs, 4 * channels, 2, stride=2)
    spread = torch.zeros_like(cell.weight)
    for place in range(4):
        spread[place::4, :, place // 2, place % 2] = weight
    cell.load_state_dict({"weight": spread, "bias": convolution.bias.detach().repeat_interleave(4)})
    return cell


class PlanarCoordinateNetwork(nn.Module):
    """P with 2D convolutions in place of its 3D ones, because runtimes optimise 2D convolutions much better.

    Each output plane of a 3D convolution depends on as many neighbouring input planes as the kernel is deep. These are
    stacked as channels, and all output planes go through one 2D convolution as a batch. P's last convolution and its
    linear layer have no activation in between, so they are merged into one matrix.
    """

    def __init__(self, network: CoordinateNetwork) -> None:
        super().__init__()
        *strided, last = network.convolutions
        layers = [_StackedLayer(*strided[start : start + 3]) for start in range(0, len(strided), 3)]
        self.layers = nn.Sequential(*layers)
        self.linear = _merged(last, network.linear)
        self.n_points = network.n_points

    def forward(self, cells: Tensor) -> Tensor:
        """Volume in cells (B, D, s², H/s, W/s) → (B, N, 3) points in the unit frame."""
        features = self.layers(cells).flatten(1)
        with torch.autocast(features.device.type, enabled=False):
            offsets = self.linear(features.float())
        return 0.5 + offsets.view(-1, self.n_points, 3)


class _StackedLayer(nn.Module):
    """3D convolution, batch norm and activation on (B, D, C, H, W): depth is the second axis."""

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
        # The stride is half the kernel size, so each output plane depends on two neighbouring steps.
        steps = x.unflatten(1, (-1, self.step)).flatten(2, 3)
        stacked = torch.cat([steps[:, :-1], steps[:, 1:]], dim=2)
        return self.plane(stacked.flatten(0, 1)).unflatten(0, (-1, stacked.shape[1]))


def _merged(convolution: nn.Module, linear: nn.Linear) -> nn.Linear:
    """Merge a convolution as large as its input (B, C, D, H, W) and a linear layer into one on (B, D, C, H, W)."""
    assert isinstance(convolution, nn.Conv3d) and convolution.bias is not None
    outer = linear.weight.detach().double()
    inner = convolution.weight.detach().double().transpose(1, 2).flatten(1)
    merged = nn.Linear(inner.shape[1], linear.out_features)
    bias = outer @ convolution.bias.detach().double() + linear.bias.detach().double()
    merged.load_state_dict({"weight": (outer @ inner).float(), "bias": bias.float()})
    return merged
