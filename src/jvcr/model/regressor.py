"""P, the coordinate regression subnetwork: 3D convolutions on the compact volume and one fully connected layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CoordinateNetwork(nn.Module):
    """P: compact volume (B, D, H, W) → points_unit (B, N, 3), ordered x, y, z (section III-B).

    With ``subvoxels`` = 2, the volume is read as cells: the ``subvoxels``² columns of a cell become channels (space to
    depth). Only the fully connected layer depends on N. It runs in float32 even under autocast, because bf16 would
    round the coordinates to a fifth of a voxel.
    """

    def __init__(self, channels: tuple[int, ...], n_points: int, depth: int, subvoxels: int = 1) -> None:
        super().__init__()
        self.subvoxels = subvoxels
        layers: list[nn.Module] = []
        previous = subvoxels**2
        for width in channels[:-1]:
            layers += [
                nn.Conv3d(previous, width, 4, stride=2, padding=1),
                nn.BatchNorm3d(width),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            previous = width
        layers.append(nn.Conv3d(previous, channels[-1], (depth >> len(channels) - 1, 4, 4)))
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Linear(channels[-1], 3 * n_points)
        self.n_points = n_points

    def forward(self, volume: Tensor) -> Tensor:
        """(B, D, H, W) volume → (B, N, 3) points in the unit frame."""
        features = self.convolutions(columns_as_channels(volume, self.subvoxels).transpose(1, 2)).flatten(1)
        with torch.autocast(features.device.type, enabled=False):
            offsets = self.linear(features.float())
        # Offsets from the centre of the cube, so that an untrained layer predicts points near the centre.
        return 0.5 + offsets.view(-1, self.n_points, 3)


def columns_as_channels(volume: Tensor, subvoxels: int) -> Tensor:
    """(B, D, H·s, W·s) → (B, D, s², H, W): the s × s columns of a cell as channels, in row-major order."""
    return F.pixel_unshuffle(volume, subvoxels).unflatten(1, (volume.shape[1], -1))
