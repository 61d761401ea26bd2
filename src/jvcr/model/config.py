"""Network configurations, which are stored with the weights. This module does not import PyTorch, so that headers of
checkpoints and metadata of ONNX files can be read without it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from jvcr.frames import CROP_RULE, CropRule


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a JVCR network.

    Attributes:
        image_size: side of the input crop, pixels.
        volume_size: height and width of the hourglasses' features and of all volumes except the last; a quarter of
            ``image_size``.
        depths: depth of each stack's volume, coarse to fine. The last one is the compact volume, the input of P; its
            depth is ``volume_size`` or half of it.
        subvoxels: height and width of the last volume, as a multiple of ``volume_size``: 1 or 2.
        stem: ``"bottleneck"`` for the published stem (7×7/2, bottleneck, max-pool), ``"strided"`` for two strided
            convolutions.
        stem_channels: channels at a half and at a quarter of the input resolution.
        channels: width of the hourglasses; their bottlenecks are half as wide inside.
        hourglass_depth: number of times an hourglass halves the resolution.
        detail_channels: width of the branch that adds detail from the stem at the last volume's resolution;
            0 for none. Needs ``subvoxels`` = 2.
        regressor_channels: output channels of P's 3D convolutions (kernel 4, stride 2 except for the last).
        n_points: number of landmarks N. Only P's last, fully connected layer depends on it.
        crop: how large a crop to cut around a face.
    """

    image_size: int
    volume_size: int
    depths: tuple[int, ...]
    stem: str
    stem_channels: tuple[int, int]
    channels: int
    hourglass_depth: int
    regressor_channels: tuple[int, ...]
    n_points: int = 68
    crop: CropRule = CROP_RULE
    subvoxels: int = 1
    detail_channels: int = 0

    def __post_init__(self) -> None:
        if not self.depths:
            raise ValueError("depths is empty; expected one depth per stack")
        if self.stem not in ("bottleneck", "strided"):
            raise ValueError(f"stem {self.stem!r} is unknown; expected 'bottleneck' or 'strided'")
        if self.image_size != 4 * self.volume_size:
            raise ValueError(f"image_size {self.image_size} must be 4 × volume_size {self.volume_size}")
        if self.volume_size % 2**self.hourglass_depth:
            raise ValueError(f"volume_size {self.volume_size} cannot be halved {self.hourglass_depth} times")
        if self.subvoxels not in (1, 2):
            raise ValueError(f"subvoxels is {self.subvoxels}; expected 1 or 2")
        if self.detail_channels < 0 or (self.detail_channels and self.subvoxels == 1):
            raise ValueError(
                f"detail_channels is {self.detail_channels} with subvoxels {self.subvoxels}; expected 0, or a positive "
                "width with subvoxels 2"
            )
        # P: its strided layers (kernel 4) must reduce the volume to 4³ or 2 × 4 × 4; the last layer reduces that to 1³.
        halvings = len(self.regressor_channels) - 1
        if self.volume_size != 4 * 2**halvings or self.depths[-1] not in (self.volume_size, self.volume_size // 2):
            raise ValueError(
                f"P halves the resolution {halvings} times, down to 4 × 4 cells, so it needs a final volume of "
                f"{4 * 2**halvings}³, or half as deep, not {self.depths[-1]}×{self.volume_size}×{self.volume_size}"
            )
        if self.n_points < 1:
            raise ValueError(f"n_points is {self.n_points}; expected at least 1")

    @property
    def volume_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(D, H, W) of each stack's volume, coarse to fine."""
        side = self.volume_size
        return (*((depth, side, side) for depth in self.depths[:-1]), self.compact_shape)

    @property
    def compact_shape(self) -> tuple[int, int, int]:
        """(D, H, W) of the last volume, the input of P."""
        side = self.volume_size * self.subvoxels
        return self.depths[-1], side, side

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable dictionary; ``from_dict`` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of ``to_dict``."""
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        if "crop" in plain:
            plain["crop"] = CropRule(**plain["crop"])
        return cls(**plain)


# The default, for ordinary CPUs.
_SMALL = ModelConfig(
    image_size=128,
    volume_size=32,
    depths=(4, 32),
    stem="strided",
    stem_channels=(32, 64),
    channels=96,
    hourglass_depth=4,
    regressor_channels=(24, 32, 64, 256),
    subvoxels=2,
    detail_channels=16,
)

PRESETS: dict[str, ModelConfig] = {
    # The published network (section IV-A and the authors' code): 32.3 M parameters with 68 points.
    "paper": ModelConfig(
        image_size=256,
        volume_size=64,
        depths=(1, 2, 4, 64),
        stem="bottleneck",
        stem_channels=(64, 128),
        channels=256,
        hourglass_depth=4,
        regressor_channels=(64, 128, 256, 512, 256),
    ),
    "small": _SMALL,
    # Half the depth, no detail branch and no coarse stack: 0.5 M parameters, for video and slow machines.
    "nano": replace(
        _SMALL,
        depths=(16,),
        stem_channels=(16, 16),
        channels=64,
        regressor_channels=(8, 16, 32, 128),
        detail_channels=0,
    ),
    # 3.1 M parameters, 0.56 GMAC per face.
    "large": replace(_SMALL, depths=(4, 32, 32, 32)),
    # Trains in seconds, for tests and examples.
    "tiny": ModelConfig(
        image_size=64,
        volume_size=16,
        depths=(2, 16),
        stem="strided",
        stem_channels=(8, 16),
        channels=24,
        hourglass_depth=2,
        regressor_channels=(8, 16, 32),
    ),
}


@dataclass(frozen=True)
class DetectorConfig:
    """Architecture of a face detector.

    Attributes:
        image_size: side of the training pictures, pixels. Inputs may have any height and width that are multiples of
            ``multiple``.
        stem_channels: channels at a half and at a quarter of the input resolution.
        channels: channels at an eighth, a sixteenth, … of the input resolution.
        blocks: bottlenecks per level on the downward path.
    """

    image_size: int = 320
    stem_channels: tuple[int, int] = (16, 32)
    channels: tuple[int, ...] = (64, 96, 128, 128)
    blocks: int = 2

    def __post_init__(self) -> None:
        if not self.channels or self.blocks < 1:
            raise ValueError(f"channels is {self.channels} and blocks {self.blocks}; expected at least one of each")
        if self.image_size < 1 or self.image_size % self.multiple:
            raise ValueError(f"image_size {self.image_size} is not a multiple of {self.multiple}")

    @property
    def stride(self) -> int:
        """Pixels per output cell."""
        return 8

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return self.stride * 2 ** (len(self.channels) - 1)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable dictionary; ``from_dict`` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectorConfig:
        """Inverse of ``to_dict``."""
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**plain)
