"""The whole network, end to end: crop → G → compact volume → P → points (figure 2 of the paper)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from jvcr.model.config import ModelConfig
from jvcr.model.hourglass import VoxelNetwork
from jvcr.model.regressor import CoordinateNetwork


class JVCROutput(NamedTuple):
    """volumes: M tensors (B, d_m, H_m, W_m), coarse to fine; the last is the compact volume.
    points_unit: (B, N, 3) float32, x, y, z in the crop's unit frame."""

    volumes: tuple[Tensor, ...]
    points_unit: Tensor


class JVCR(nn.Module):
    """Joint Voxel and Coordinate Regression.

    Example: ``JVCR(PRESETS["small"])(crops)`` with crops (B, 128, 128, 3) uint8 RGB gives volumes
    (B, 4, 32, 32), (B, 32, 64, 64) and points (B, 68, 3).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.voxel = VoxelNetwork(
            config.stem,
            config.stem_channels,
            config.channels,
            config.hourglass_depth,
            config.depths,
            fine=config.subvoxels > 1,
            detail=config.detail_channels,
        )
        self.coordinate = CoordinateNetwork(
            config.regressor_channels, config.n_points, config.depths[-1], config.subvoxels
        )

    def forward(self, crops: Tensor, read_volume: Tensor | None = None) -> JVCROutput:
        """(B, S, S, 3) uint8 RGB → volumes and points.

        Args:
            read_volume: input of P, in place of G's last volume: the ground-truth volume in training stage 1. Without
                it, the gradient of the coordinate loss flows through G.
        """
        volumes = self.voxel(normalise(crops))
        return JVCROutput(volumes, self.coordinate(volumes[-1] if read_volume is None else read_volume))


def normalise(crops: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 RGB → (B, 3, S, S) float32, about -2…2."""
    return (crops.permute(0, 3, 1, 2).float() - 127.5) / 64.0
