"""The face detector's network: a small feature pyramid over the whole photo."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jvcr.model.config import DetectorConfig
from jvcr.model.hourglass import Bottleneck
from jvcr.model.jvcr import normalise

OUTPUTS = 7
"""Of each cell: heat, centre x and y, logarithm of width and height, cosine and sine of the roll."""

_RARE = -math.log(99)
"""Logit of the heat before training: almost no cell is the centre of a face."""


class FaceDetector(nn.Module):
    """Photos → one cell for every 8 × 8 pixels. Anchor-free: a cell near the middle of a face describes that face.

    Features are halved down to where a cell has seen the largest face, and come back up, each level added to what
    was there before (an hourglass whose lower levels are wider).

    Example: ``FaceDetector(DetectorConfig())(photos)`` with photos (B, 320, 320, 3) uint8 RGB gives (B, 7, 40, 40).
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        first, second = config.stem_channels
        widths = config.channels
        self.stem = nn.Sequential(
            *_halving(3, first), nn.ReLU(inplace=True), *_halving(first, second), nn.ReLU(inplace=True)
        )
        self.enter = nn.Sequential(*_halving(second, widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(Bottleneck(before, width), *(Bottleneck(width, width) for _ in range(config.blocks - 1)))
            for before, width in zip((widths[0], *widths), widths, strict=False)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(below, width, 1) for below, width in zip(widths[1:], widths, strict=False)
        )
        self.up = nn.ModuleList(Bottleneck(width, width) for width in widths[:-1])
        self.head = nn.Sequential(
            Bottleneck(widths[0], widths[0]),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
            nn.Conv2d(widths[0], OUTPUTS, 1),
        )
        last = self.head[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.bias)
        nn.init.constant_(last.bias[:1], _RARE)

    def forward(self, photos: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB, H and W multiples of ``config.multiple`` → (B, 7, H/8, W/8) float32.

        Heat is a logit. Centres are in cells from the cell's own centre; sizes in cells.
        """
        x = self.enter(self.stem(normalise(photos)))
        levels = []
        for number, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if number else x)
            levels.append(x)
        for number in reversed(range(len(self.up))):
            x = levels[number] + F.interpolate(self.narrow[number](x), scale_factor=2.0, mode="nearest")
            x = self.up[number](x)
        return self.head(x).float()


class DetectorInference(nn.Module):
    """What is exported: heat as 0…1."""

    def __init__(self, network: FaceDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Tensor:
        """(B, 3, H, W) photos → (B, C, H / stride, W / stride) cells, channel 0 the heat in 0…1."""
        cells = self.network(photos)
        return torch.cat([cells[:, :1].sigmoid(), cells[:, 1:]], dim=1)


def _halving(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after)
