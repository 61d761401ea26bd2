"""Ground-truth volumes on the training device: the tensor version of ``jvcr.volume``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jvcr.frames import unit_to_vox
from jvcr.volume import TRUNCATE_SIGMAS

_AT_ONCE = 34
"""Landmarks processed at once, which bounds the peak memory."""


def rasterise(
    points_unit: Tensor, shape: tuple[int, int, int], sigma_vox: float = 1.0, whole_voxels: bool = False
) -> Tensor:
    """Compact volumes: one small patch per landmark, combined by maximum.

    Args:
        points_unit: (B, N, 3) x, y, z in the unit frame; any device; with sub-voxel precision.
        shape: (D, H, W); D = 1 is allowed.
        sigma_vox: standard deviation, voxels.
        whole_voxels: centre each Gaussian on the voxel that contains its landmark, like the authors' code.
    Returns:
        (B, D, H, W) float32 on the same device; equals ``jvcr.volume.rasterise`` of each row to float32 precision.
    Voxels outside the volume are dropped along all axes; nothing wraps around.
    """
    depth, height, width = shape
    volume = torch.zeros(len(points_unit), depth * height * width, device=points_unit.device)
    for part in points_unit.split(_AT_ONCE, dim=1):
        index, value = patches(part, shape, sigma_vox, whole_voxels)
        volume.scatter_reduce_(1, index.flatten(1), value.flatten(1), "amax")
    return volume.view(-1, depth, height, width)


def patches(
    points_unit: Tensor, shape: tuple[int, int, int], sigma_vox: float = 1.0, whole_voxels: bool = False
) -> tuple[Tensor, Tensor]:
    """The voxels around each landmark: flat index into a (D, H, W) volume, and value; both (B, N, K).

    Outside the volume, index and value are 0.
    """
    points_unit = points_unit.float()
    depth, height, width = shape
    reach = math.ceil(TRUNCATE_SIGMAS * sigma_vox)
    around = torch.arange(-reach, reach + 1, device=points_unit.device)
    extent = points_unit.new_tensor([width, height, depth])
    # Clamp distant points, so that integers cannot overflow.
    points_vox = unit_to_vox(points_unit, shape).clamp(-1e6, 1e6)
    if whole_voxels:
        points_vox = points_vox.round()
    index = points_vox.round().long().unsqueeze(-1) + around
    profile = torch.exp(-((index - points_vox.unsqueeze(-1)) ** 2) / (2 * sigma_vox**2))
    inside = (index >= 0) & (index < extent.long().view(3, 1))
    profile = profile * inside
    index = torch.where(inside, index, 0)
    x, y, z = index.unbind(2)
    wx, wy, wz = profile.unbind(2)
    flat = (z[..., :, None, None] * height + y[..., None, :, None]) * width + x[..., None, None, :]
    value = wz[..., :, None, None] * wy[..., None, :, None] * wx[..., None, None, :]
    return flat.flatten(2), value.flatten(2)
