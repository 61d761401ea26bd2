"""Networks that JVCR is compared with: other heads and representations on the same hourglasses.

All of them take (B, S, S, 3) crops and, in training stage 1, the true volumes or heatmaps. They return ``JVCROutput``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jvcr.frames import vox_to_unit
from jvcr.model.config import ModelConfig
from jvcr.model.hourglass import VoxelNetwork
from jvcr.model.jvcr import JVCROutput, normalise

_AROUND = 2
"""How far around a peak its centre of mass is computed, in voxels."""


def _hourglasses(config: ModelConfig, depths: tuple[int, ...], fine: bool = True) -> VoxelNetwork:
    """G with other depths. ``fine``: its last maps have the resolution of the preset's volume."""
    fine = fine and config.subvoxels > 1
    detail = config.detail_channels if fine else 0
    return VoxelNetwork(
        config.stem, config.stem_channels, config.channels, config.hourglass_depth, depths, fine, detail
    )


def _widths(config: ModelConfig) -> tuple[int, ...]:
    """P's widths, doubled because 2D kernels are smaller: this gives about as many parameters as P has."""
    return (*(2 * width for width in config.regressor_channels[:-1]), config.regressor_channels[-1])


def _strided(in_channels: int, widths: tuple[int, ...], outputs: int) -> nn.Sequential:
    """The 2D counterpart of P: strided convolutions down to one pixel, then a linear layer."""
    layers: list[nn.Module] = []
    previous = in_channels
    for width in widths[:-1]:
        layers += [nn.Conv2d(previous, width, 4, 2, 1), nn.BatchNorm2d(width), nn.LeakyReLU(0.2, inplace=True)]
        previous = width
    layers += [nn.Conv2d(previous, widths[-1], 4), nn.Flatten(), nn.Linear(widths[-1], outputs)]
    return nn.Sequential(*layers)


def peaks_unit(volumes: Tensor) -> Tensor:
    """(B, N, D, H, W) → (B, N, 3) x, y, z in the unit frame: the centre of mass around each volume's highest voxel."""
    depth, height, width = volumes.shape[2:]
    flat = volumes.float().flatten(2)
    highest = flat.argmax(dim=2)
    z, y, x = highest // (height * width), highest // width % height, highest % width
    reach = torch.arange(-_AROUND, _AROUND + 1, device=volumes.device)
    lines = []
    for centre, extent in ((z, depth), (y, height), (x, width)):
        index = centre[..., None] + reach
        lines.append((index.clamp(0, extent - 1), (index >= 0) & (index < extent)))
    (iz, ok_z), (iy, ok_y), (ix, ok_x) = lines
    place = (iz[..., :, None, None] * height + iy[..., None, :, None]) * width + ix[..., None, None, :]
    inside = ok_z[..., :, None, None] & ok_y[..., None, :, None] & ok_x[..., None, None, :]
    mass = (flat.gather(2, place.flatten(2)).view(place.shape).clamp(min=0) * inside).view(*place.shape)
    total = mass.sum(dim=(2, 3, 4)).clamp(min=1e-6)
    mean_x = (mass.sum(dim=(2, 3)) * ix).sum(dim=2) / total
    mean_y = (mass.sum(dim=(2, 4)) * iy).sum(dim=2) / total
    mean_z = (mass.sum(dim=(3, 4)) * iz).sum(dim=2) / total
    return vox_to_unit(torch.stack([mean_x, mean_y, mean_z], dim=2), (depth, height, width))


class TwoStep(nn.Module):
    """2D heatmaps first, one per landmark; then depth from the image and the heatmaps (the baseline of table III).

    Gradients of the second step stop at the heatmaps.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        n = config.n_points
        self.heatmaps = _hourglasses(config, (n,) * len(config.depths))
        # Like P, it takes a cell's columns as channels.
        self.depth = _strided((n + 3) * config.subvoxels**2, _widths(config), n)

    def forward(self, crops: Tensor, true_heatmaps: Tensor | None = None) -> JVCROutput:
        """Crops → heatmaps and points. Depth is predicted from ``true_heatmaps`` if given, else from its own.

        While training, x and y are zeros: a peak has no gradient.
        """
        image = normalise(crops)
        maps = self.heatmaps(image)
        seen = maps[-1].detach() if true_heatmaps is None else true_heatmaps
        small = F.interpolate(image, size=seen.shape[-2:], mode="area")
        cells = F.pixel_unshuffle(torch.cat([seen.to(small.dtype), small], dim=1), self.config.subvoxels)
        z_unit = 0.5 + self.depth(cells).float()
        places = z_unit.new_zeros(*z_unit.shape, 2) if self.training else peaks_unit(maps[-1][:, :, None])[..., :2]
        return JVCROutput(maps, torch.cat([places, z_unit[..., None]], dim=2))


class Direct(nn.Module):
    """Regress coordinates directly from the features of the last hourglass, without a volume."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        # The hourglasses output features instead of volumes.
        self.features = _hourglasses(config, (config.channels,) * len(config.depths), fine=False)
        self.head = _strided(config.channels, _widths(config), 3 * config.n_points)

    def forward(self, crops: Tensor, unused: Tensor | None = None) -> JVCROutput:
        """Crops → points, without volumes."""
        features = self.features(normalise(crops))
        points = 0.5 + self.head(features[-1]).float().view(-1, self.config.n_points, 3)
        return JVCROutput((), points)


class VolumePerLandmark(nn.Module):
    """The conventional volumetric representation: one volume per landmark, coarse to fine, read at its peak."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.volumes = _hourglasses(config, tuple(depth * config.n_points for depth in config.depths))

    def forward(self, crops: Tensor, unused: Tensor | None = None) -> JVCROutput:
        """Crops → volumes, and the points at their peaks; zeros while training, because a peak has no gradient."""
        volumes = self.volumes(normalise(crops))
        shape = len(crops), self.config.n_points, *self.config.compact_shape
        if self.training:
            return JVCROutput(volumes, crops.new_zeros((*shape[:2], 3), dtype=torch.float32))
        return JVCROutput(volumes, peaks_unit(volumes[-1].reshape(shape)))
