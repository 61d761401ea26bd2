"""Photometric augmentation of a batch on the training device: occlusion, light, colour, sharpness, noise.

All random numbers of a batch come from CPU generators, so a batch does not depend on the device or on the number of
devices.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jvcr.train.data.augment import LEAST_COARSE, Augmentation

_RECTANGLES = 2
_GREY = (0.299, 0.587, 0.114)
_BLUR_REACH = 6


@dataclass(frozen=True)
class Rows:
    """Rows ``first`` … ``first + count - 1`` of a batch of ``total``."""

    total: int
    first: int
    count: int

    def of(self, values: Tensor) -> Tensor:
        """Select these rows from values of the whole batch, (total, …) → (count, …)."""
        return values[self.first : self.first + self.count]


def seeded(seed: int, purpose: str, row: int = 0) -> torch.Generator:
    """A CPU generator for one purpose; streams of different seeds, purposes or rows are independent."""
    words = np.random.SeedSequence((seed, zlib.crc32(purpose.encode()), row)).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 ^ int(words[1]))


def vary_pixels(crops: Tensor, how: Augmentation, rows: Rows, seed: int) -> Tensor:
    """Augment every crop of a batch independently.

    Args:
        crops: (B, S, S, 3) uint8 RGB, rows ``rows`` of the batch; any device.
        seed: seed of this batch.
    Returns:
        (B, S, S, 3) float32, 0…255, on the same device. A row does not depend on which part of the batch is passed.
    """
    generator = seeded(seed, "pixels")

    def even(*shape: int) -> Tensor:
        return rows.of(torch.rand(rows.total, *shape, generator=generator))

    def normal(*shape: int) -> Tensor:
        return rows.of(torch.randn(rows.total, *shape, generator=generator))

    device = crops.device
    image = crops.permute(0, 3, 1, 2).float()
    where, kind, colour = even(_RECTANGLES + 1, 4), even(_RECTANGLES), even(_RECTANGLES, 3)
    if how.occlusion_share:
        image = _occlude(image, how.occlusion_share, where, kind, colour, seed, rows)
    chosen, light, cast = even(5), normal(3), normal(3)
    if how.light_share:
        image = _relight(image, (chosen[:, 0] < how.light_share).to(device), light.to(device), cast.to(device))
    shift, strength = even(3), even(3)
    if how.colour_shift:
        added = 255 * how.colour_shift * (2 * shift - 1)
        image = (image + added.to(device)[:, :, None, None]).clamp(0, 255)
    if how.grey_share:
        grey = (image * image.new_tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)
        image = torch.where(_mask(chosen[:, 1] < how.grey_share, device), grey, image)
    for row in torch.nonzero(chosen[:, 2] < how.coarse_share).flatten().tolist():
        image[row] = _coarsened(image[row], how.coarsest + (LEAST_COARSE - how.coarsest) * float(strength[row, 0]))
    blurred = torch.nonzero(chosen[:, 3] < how.blur_share).flatten()
    if len(blurred):
        sigma_px = image.shape[-1] / 128 * (0.5 + 1.5 * strength[blurred, 1])
        image[blurred.to(device)] = _blurred(image[blurred.to(device)], sigma_px.to(device))
    noisy = torch.nonzero(chosen[:, 4] < how.noise_share).flatten()
    if len(noisy):
        level = (2 + 12 * strength[noisy, 2]).to(device)[:, None, None, None]
        noise = _pixel_noise(image[noisy.to(device)], seed, "noise", [rows.first + int(n) for n in noisy])
        image[noisy.to(device)] = (image[noisy.to(device)] + level * noise).clamp(0, 255)
    return image.permute(0, 2, 3, 1)


def _mask(chosen: Tensor, device: torch.device) -> Tensor:
    return chosen.to(device)[:, None, None, None]


def _pixel_noise(like: Tensor, seed: int, purpose: str, rows: list[int]) -> Tensor:
    """Normal noise in the shape of ``like``; it depends on each row's number in the batch."""
    noise = [torch.randn(like.shape[1:], generator=seeded(seed, purpose, row)) for row in rows]
    return torch.stack(noise).to(like.device)


def _occlude(image: Tensor, share: float, where: Tensor, kind: Tensor, colour: Tensor, seed: int, rows: Rows) -> Tensor:
    """Cover one or two rectangles with a shifted part of the same picture, noise, or a colour."""
    size = image.shape[-1]
    device = image.device
    place = torch.arange(size, device=device)
    covered = where[:, -1, 0] < share
    second = where[:, -1, 1] < 0.5
    original = image
    image = image.clone()
    for number in range(_RECTANGLES):
        extent = size * (0.08 + 0.32 * where[:, number, :2])
        start = (size - extent) * where[:, number, 2:]
        low, high = start.round().to(device), (start + extent).round().to(device)
        across, down = ((place >= low[:, [k]]) & (place < high[:, [k]]) for k in (0, 1))
        active = covered & (second if number else torch.ones_like(covered))
        inside = (across[:, None, :] & down[:, :, None])[:, None] & _mask(active, device)
        displaced = original.roll((size // 2, size // 3), dims=(2, 3))
        plain = 255 * colour[:, number].to(device)[:, :, None, None].expand_as(image)
        cover = torch.where(_mask(kind[:, number] < 0.4, device), displaced, plain)
        image = torch.where(inside, cover, image)
        noisy = torch.nonzero(active & (kind[:, number] >= 0.4) & (kind[:, number] < 0.7)).flatten()
        if len(noisy):
            at = noisy.to(device)
            numbers = [rows.first + int(n) for n in noisy]
            noise = (128 + 74 * _pixel_noise(image[at], seed, f"cover {number}", numbers)).clamp(0, 255)
            image[at] = torch.where(inside[at], noise, image[at])
    return image


def _relight(image: Tensor, chosen: Tensor, light: Tensor, cast: Tensor) -> Tensor:
    """Gamma, contrast, brightness and a colour cast."""
    gamma, contrast = (0.25 * light[:, 0]).exp(), (0.15 * light[:, 1]).exp()
    shift = 0.08 * light[:, 2]
    gamma, contrast, shift = (v[:, None, None, None] for v in (gamma, contrast, shift))
    curve = ((image / 255).pow(gamma) - 0.5) * contrast + 0.5 + shift
    lit = (255 * curve * (0.08 * cast).exp()[:, :, None, None]).clamp(0, 255)
    return torch.where(chosen[:, None, None, None], lit, image)


def _coarsened(image: Tensor, factor: float) -> Tensor:
    """(3, S, S) downscaled to ``factor`` of its size and upscaled again."""
    size = image.shape[-1]
    small = F.interpolate(image[None], size=max(1, int(size * factor)), mode="area")
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False)[0]


def _blurred(image: Tensor, sigma_px: Tensor) -> Tensor:
    """(B, 3, S, S), blurred with one Gaussian per row."""
    reach = math.ceil(_BLUR_REACH * image.shape[-1] / 128)
    place = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.exp(-(place**2) / (2 * sigma_px[:, None] ** 2))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    planes = F.pad(image, (reach,) * 4, mode="replicate").flatten(0, 1)[None]
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=len(kernel))
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=len(kernel))
    return planes.view_as(image)
