"""A network's configuration, which is stored with its weights. No PyTorch here, so that a checkpoint's header or an
ONNX file's metadata can be read without it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from jvcr.frames import CROP_RULE, CropRule


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of one JVCR network.

    Attributes:
        image_size: side of the crop, pixels.
        volume_size: height and width of the hourglasses and of every volume but the last; a quarter of ``image_size``.
        depths: depth of each stack's volume, coarse to fine; the last is the compact volume that P reads, with as many
            slices as rows of cells (``volume_size``), or half as many.
        subvoxels: the last volume has this many times as many rows and columns as the others, 1 or 2.
        stem: ``"bottleneck"`` as published (7×7/2, bottleneck, max-pool), ``"strided"`` for two strided convolutions.
        stem_channels: channels after the first and the second halving.
        channels: width of the hourglasses; their bottlenecks are half as wide inside.
        hourglass_depth: how often an hourglass halves the resolution.
        detail_channels: width of the branch that adds detail from the stem at the last volume's own resolution;
            0 for none. Only with ``subvoxels`` = 2.
        regressor_channels: outputs of P's 3D convolutions (kernel 4; all of stride 2 but the last).
        n_points: N. Only P's last, fully connected layer depends on it.
        crop: size of the crops that the network reads.
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
            raise ValueError("depths is empty; expected one depth a stack")
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
                f"detail_channels is {self.detail_channels} with subvoxels {self.subvoxels}; expected 0, or a width "
                "with subvoxels 2"
            )
        # P: k = 4; its strided layers must bring the volume to 4³, or 2 × 4 × 4, which the last one turns into 1³.
        halvings = len(self.regressor_channels) - 1
        if self.volume_size != 4 * 2**halvings or self.depths[-1] not in (self.volume_size, self.volume_size // 2):
            raise ValueError(
                f"P halves {halvings} times and ends on 4 × 4 cells, so it needs a final volume of "
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
        """(D, H, W) of the last volume, which P reads."""
        side = self.volume_size * self.subvoxels
        return self.depths[-1], side, side

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``from_dict`` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of ``to_dict``."""
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        if "crop" in plain:
            plain["crop"] = CropRule(**plain["crop"])
        return cls(**plain)


# For an ordinary CPU.
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
    # As published (section IV-A and the authors' code): 32.3 M parameters at 68 points.
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
    # Half as deep, without the detail branch and the coarse stack. 0.5 M parameters, for video and small machines.
    "nano": replace(
        _SMALL,
        depths=(16,),
        stem_channels=(16, 16),
        channels=64,
        regressor_channels=(8, 16, 32, 128),
        detail_channels=0,
    ),
    # 3.1 M parameters, 0.56 GMAC a face.
    "large": replace(_SMALL, depths=(4, 32, 32, 32)),
    # Seconds, for tests and examples.
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
    """Sizes of one face detector.

    Attributes:
        image_size: side of the pictures that it is trained on, pixels. It reads others of any multiple of
            ``multiple``.
        stem_channels: channels at a half and a quarter of the resolution.
        channels: at an eighth, a sixteenth, …; the last sees most.
        blocks: bottlenecks a level on the way down.
    """

    image_size: int = 320
    stem_channels: tuple[int, int] = (16, 32)
    channels: tuple[int, ...] = (64, 96, 128, 128)
    blocks: int = 2

    def __post_init__(self) -> None:
        if not self.channels or self.blocks < 1:
            raise ValueError(f"channels is {self.channels} and blocks {self.blocks}; expected at least one of each")
        if self.image_size < 1 or self.image_size % self.multiple:
            raise ValueError(f"image_size {self.image_size} is no multiple of {self.multiple}")

    @property
    def stride(self) -> int:
        """Pixels a cell of the output."""
        return 8

    @property
    def multiple(self) -> int:
        """Height and width of a picture are multiples of this."""
        return self.stride * 2 ** (len(self.channels) - 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``from_dict`` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectorConfig:
        """Inverse of ``to_dict``."""
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**plain)
