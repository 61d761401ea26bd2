"""Training as data: stages, optimiser, augmentation. A run is its ``TrainConfig``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from jvcr.data.augment import Augmentation
from jvcr.data.stream import Sampling


@dataclass(frozen=True)
class Stage:
    """One part of a training.

    Attributes:
        samples: how many crops it sees.
        end_to_end: P reads G's volume and the coordinate loss trains both. Otherwise P reads the true volume
            with ``volume_noise`` added, and G and P learn side by side (section III-D).
        coordinate_weight: λ of eq. 5, L = L_vox + λ·L_coord.
        lr, final_lr: learning rate at the start, and at the end of a half cosine.
        warmup_samples: the rate rises linearly over these first.
    """

    name: str
    samples: int
    end_to_end: bool
    coordinate_weight: float
    lr: float
    final_lr: float
    warmup_samples: int = 0
    volume_noise: float = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run, but for the data.

    Attributes:
        preset: name of the network's sizes (``jvcr.model.config.PRESETS``).
        sigma_vox: of the true volumes' Gaussians.
        foreground: weight of occupied voxels in L_vox.
        ema_decay: of the averaged weights, which are the ones that are validated and shipped.
        validate_every: samples between validations ("epochs").
        checkpoint_seconds: time between checkpoints.
    """

    preset: str
    stages: tuple[Stage, ...]
    batch_size: int = 32
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    sigma_vox: float = 1.0
    foreground: float = 9.0
    precision: str = "bf16-mixed"
    channels_last: bool = True
    seed: int = 0
    validate_every: int = 20_000
    checkpoint_seconds: float = 60.0
    workers: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def total_samples(self) -> int:
        return sum(stage.samples for stage in self.stages)

    def scaled_to(self, samples: int) -> TrainConfig:
        """The same run with its stages stretched or shortened to ``samples`` in all."""
        factor = samples / self.total_samples
        stages = tuple(
            replace(s, samples=max(1, round(s.samples * factor)), warmup_samples=round(s.warmup_samples * factor))
            for s in self.stages
        )
        return replace(self, stages=stages)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def two_stages(samples: int, first_share: float, lr: float, coordinate_weight: float) -> tuple[Stage, Stage]:
    """The paper's scheme: G and P side by side on true volumes, then end to end."""
    first = round(samples * first_share)
    return (
        Stage(
            name="side by side",
            samples=first,
            end_to_end=False,
            coordinate_weight=coordinate_weight,
            lr=lr,
            final_lr=lr,
            warmup_samples=round(samples * 0.01),
            volume_noise=0.05,
        ),
        Stage(
            name="end to end",
            samples=samples - first,
            end_to_end=True,
            coordinate_weight=coordinate_weight,
            lr=lr,
            final_lr=lr / 100,
        ),
    )


_SAMPLING = Sampling(half_profile=1.2, profile=1.4, sources=(("300wlp-ibug", 1.5),))

RECIPES: dict[str, TrainConfig] = {
    "small": TrainConfig(
        preset="small",
        stages=two_stages(360_000, first_share=0.15, lr=1.5e-3, coordinate_weight=20.0),
        sampling=_SAMPLING,
    ),
    "paper": TrainConfig(
        preset="paper",
        stages=two_stages(600_000, first_share=0.15, lr=1e-3, coordinate_weight=20.0),
        batch_size=64,
        sampling=_SAMPLING,
        workers=12,
    ),
    "tiny": TrainConfig(
        preset="tiny",
        stages=two_stages(20_000, first_share=0.2, lr=3e-3, coordinate_weight=20.0),
        ema_decay=0.99,
        validate_every=5_000,
    ),
}
