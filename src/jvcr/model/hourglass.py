"""G, the voxel regression subnetwork: stem and stacked hourglasses (Newell et al. 2016, as used by JVCR)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_STEM_HALF = 3
"""Number of stem layers that run at half the input resolution: convolution, norm and activation."""


class Bottleneck(nn.Module):
    """Pre-activation bottleneck residual block: 1×1, 3×3, 1×1, half as wide inside. (B, C, H, W) → (B, C', H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inside = out_channels // 2
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, inside, 1)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, out_channels, 1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C_out, H, W)."""
        out = self.conv1(F.relu(self.bn1(x)))
        out = self.conv2(F.relu(self.bn2(out)))
        out = self.conv3(F.relu(self.bn3(out)))
        return out + self.skip(x)


class Stem(nn.Module):
    """Image → features at a quarter of its resolution; also returns those at half of it."""

    def __init__(self, kind: str, stem_channels: tuple[int, int], channels: int) -> None:
        super().__init__()
        first, second = stem_channels
        if kind == "bottleneck":
            halvings: list[nn.Module] = [
                nn.Conv2d(3, first, 7, stride=2, padding=3),
                nn.BatchNorm2d(first),
                nn.ReLU(inplace=True),
                Bottleneck(first, second),
                nn.MaxPool2d(2),
            ]
        else:
            halvings = [
                nn.Conv2d(3, first, 5, stride=2, padding=2),
                nn.BatchNorm2d(first),
                nn.ReLU(inplace=True),
                nn.Conv2d(first, second, 3, stride=2, padding=1),
            ]
        self.layers = nn.Sequential(*halvings, Bottleneck(second, second), Bottleneck(second, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features at a half and at a quarter of the input resolution."""
        half = self.layers[:_STEM_HALF](x)
        return half, self.layers[_STEM_HALF:](half)


class Hourglass(nn.Module):
    """One hourglass: ``depth`` max-poolings, then nearest-neighbour upsampling, with one block per level and path."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.side = Bottleneck(channels, channels)
        self.down = Bottleneck(channels, channels)
        self.inner: nn.Module = Hourglass(channels, depth - 1) if depth > 1 else Bottleneck(channels, channels)
        self.up = Bottleneck(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape; H and W are multiples of ``2**depth``."""
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return self.side(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")


class VolumeHead(nn.Module):
    """Output features of one stack → its volume, and the input of the next stack."""

    def __init__(self, channels: int, depth: int, last: bool) -> None:
        super().__init__()
        self.block = _feature_block(channels)
        # The depth slices of the volume are the channels of a 1×1 convolution.
        self.volume = nn.Conv2d(channels, depth, 1)
        self.from_features = None if last else nn.Conv2d(channels, channels, 1)
        self.from_volume = None if last else nn.Conv2d(depth, channels, 1)

    def forward(self, x: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """A stack's input ``x`` and output ``features``, both (B, C, H, W) → volume (B, D, H, W), next input."""
        features = self.block(features)
        volume = self.volume(features)
        if self.from_features is not None and self.from_volume is not None:
            x = x + self.from_features(features) + self.from_volume(volume)
        return volume, x


class FineHead(nn.Module):
    """Features of the last stack → a volume with twice their height and width.

    Each cell of the features predicts four columns of voxels (depth to space). With ``detail`` channels, it also
    predicts features for each column. The stem's features at that resolution are added to them, because they contain
    fine edges that are lost at the hourglasses' resolution.
    """

    def __init__(self, channels: int, depth: int, detail: int, stem_channels: int) -> None:
        super().__init__()
        self.depth = depth
        self.block = _feature_block(channels)
        self.columns = nn.Conv2d(channels, 4 * (depth + detail), 1)
        self.from_stem = nn.Conv2d(stem_channels, detail, 1) if detail else None
        self.detail = (
            nn.Sequential(
                nn.BatchNorm2d(detail),
                nn.ReLU(inplace=True),
                nn.Conv2d(detail, detail, 3, padding=1),
                nn.BatchNorm2d(detail),
                nn.ReLU(inplace=True),
                nn.Conv2d(detail, depth, 1),
            )
            if detail
            else None
        )

    def forward(self, features: Tensor, stem: Tensor) -> Tensor:
        """(B, C, H, W) features of the last hourglass, and (B, C', 2H, 2W) of the stem → (B, D, 2H, 2W)."""
        columns = F.pixel_shuffle(self.columns(self.block(features)), 2)
        if self.detail is None or self.from_stem is None:
            return columns
        volume, detail = columns[:, : self.depth], columns[:, self.depth :]
        return volume + self.detail(detail + self.from_stem(stem))


class VoxelNetwork(nn.Module):
    """G: images (B, 3, S, S), normalised → M volumes (B, d_m, S/4, S/4), coarse to fine in depth (section III-A).

    Args:
        fine: predict the last volume at S/2 × S/2 (``FineHead``).
        detail: channels of the detail branch in ``FineHead``.
    """

    def __init__(
        self,
        stem: str,
        stem_channels: tuple[int, int],
        channels: int,
        hourglass_depth: int,
        depths: tuple[int, ...],
        fine: bool = False,
        detail: int = 0,
    ) -> None:
        super().__init__()
        self.stem = Stem(stem, stem_channels, channels)
        self.hourglasses = nn.ModuleList(Hourglass(channels, hourglass_depth) for _ in depths)
        coarse = depths[:-1] if fine else depths
        self.heads = nn.ModuleList(VolumeHead(channels, d, last=m == len(depths) - 1) for m, d in enumerate(coarse))
        self.fine_head = FineHead(channels, depths[-1], detail, stem_channels[0]) if fine else None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) normalised crops → one volume (B, D, H, W) per stack, coarse to fine."""
        half, x = self.stem(images)
        volumes: list[Tensor] = []
        for hourglass, head in zip(self.hourglasses, self.heads, strict=False):
            volume, x = head(x, hourglass(x))
            volumes.append(volume)
        if self.fine_head is not None:
            volumes.append(self.fine_head(self.hourglasses[-1](x), half))
        return tuple(volumes)


def _feature_block(channels: int) -> nn.Sequential:
    """The first layers of every head, applied to its hourglass's features."""
    return nn.Sequential(
        Bottleneck(channels, channels),
        nn.Conv2d(channels, channels, 1),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
