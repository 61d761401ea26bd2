"""Training configuration: stages, losses, optimiser, augmentation. A run is a ``TrainConfig`` or ``DetectConfig``."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from jvcr.model.config import DetectorConfig, ModelConfig
from jvcr.train.data.augment import Augmentation
from jvcr.train.data.scenes import SceneAugmentation
from jvcr.train.data.stream import Sampling
from jvcr.train.losses import LossConfig


def _check(name: str, value: float, least: float, most: float = math.inf) -> None:
    if not least <= value <= most or math.isnan(value):
        until = "" if math.isinf(most) else f", at most {most:g}"
        raise ValueError(f"{name} is {value}; expected at least {least:g}{until}")


@dataclass(frozen=True)
class Stage:
    """One stage of a training. Its length is given in ``samples`` or in ``epochs``.

    Attributes:
        samples: number of training crops.
        end_to_end: P reads G's volume and the coordinate loss trains both. Otherwise P reads the ground-truth volume
            plus ``volume_noise``, and G and P are trained separately, side by side (section III-D).
        coordinate_weight: λ of eq. 5, L = L_vox + λ·L_coord.
        lr, final_lr: learning rate at the start and end of a half cosine; equal for a constant rate.
        warmup_samples: length of the linear warm-up.
        epochs: length in passes over the table.
    """

    name: str
    samples: int = 0
    end_to_end: bool = True
    coordinate_weight: float = 1.0
    lr: float = 1e-3
    final_lr: float = 1e-5
    warmup_samples: int = 0
    volume_noise: float = 0.0
    epochs: float = 0.0

    def __post_init__(self) -> None:
        if min(self.samples, self.epochs) < 0 or (self.samples > 0) == (self.epochs > 0):
            raise ValueError(
                f"stage {self.name!r} has samples = {self.samples} and epochs = {self.epochs}; expected one of the two"
            )
        place = f"stage {self.name!r}: "
        for name in ("lr", "final_lr", "coordinate_weight", "volume_noise", "warmup_samples"):
            _check(place + name, getattr(self, name), 0)
        if self.samples and self.warmup_samples > self.samples:
            raise ValueError(f"{place}warmup_samples is {self.warmup_samples}, more than its samples, {self.samples}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of every run, for any task.

    Attributes:
        batch_size: total batch size over all devices.
        accumulate: gradient accumulation steps that a device's share of the batch is split into; saves memory.
        optimizer: ``"adamw"``, ``"adam"`` or ``"rmsprop"``.
        clip_norm: maximum norm of the gradient; 0 disables clipping.
        ema_decay: decay of the EMA weights, which are validated and saved; 0 for no average.
        precision: ``"32-true"``, ``"bf16-mixed"``, or ``"auto"``: bf16 where the hardware computes in it
            (``jvcr.train.precision``).
        compile: use ``torch.compile``.
        validate_every: samples between validations; 0 for once per epoch.
        pictures: number of pictures drawn at each validation.
        log_every: steps between rows of ``losses.csv``.
        checkpoint_seconds: time between checkpoints.
        workers: data loader processes per device.
    """

    stages: tuple[Stage, ...]
    batch_size: int = 32
    accumulate: int = 1
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    precision: str = "auto"
    channels_last: bool = True
    compile: bool = False
    seed: int = 0
    validate_every: int = 20_000
    pictures: int = 6
    log_every: int = 50
    checkpoint_seconds: float = 60.0
    workers: int = 1

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages is empty; expected at least one")
        for name in (
            "weight_decay",
            "clip_norm",
            "validate_every",
            "pictures",
            "workers",
            "checkpoint_seconds",
            "seed",
        ):
            _check(name, getattr(self, name), 0)
        _check("log_every", self.log_every, 1)
        _check("ema_decay", self.ema_decay, 0, 1)
        if self.optimizer not in ("adamw", "adam", "rmsprop"):
            raise ValueError(f"optimizer {self.optimizer!r} is unknown; expected adamw, adam or rmsprop")
        if self.precision not in ("auto", "32-true", "bf16-mixed"):
            raise ValueError(f"precision {self.precision!r} is unknown; expected auto, 32-true or bf16-mixed")
        if self.batch_size < 1 or self.accumulate < 1 or self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size is {self.batch_size} and accumulate {self.accumulate}; expected whole numbers from 1 on, "
                "and a batch that can be cut into that many parts"
            )

    @property
    def total_samples(self) -> int:
        """Total samples of all stages."""
        return sum(stage.samples for stage in self.stages)

    def for_rows(self, rows: int) -> Self:
        """The same run with all lengths in samples, for a table with ``rows`` rows."""
        stages = tuple(
            replace(stage, samples=max(1, round(stage.epochs * rows)), epochs=0) if stage.epochs else stage
            for stage in self.stages
        )
        return replace(self, stages=stages, validate_every=self.validate_every or rows)

    def scaled_to(self, samples: int) -> Self:
        """The same run with its stages scaled to a total of ``samples``; lengths must be in samples."""
        factor = samples / self.total_samples
        stages = tuple(
            replace(s, samples=max(1, round(s.samples * factor)), warmup_samples=round(s.warmup_samples * factor))
            for s in self.stages
        )
        return replace(self, stages=stages)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable, nested like the fields."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """All settings of the training of a landmark network, except the data.

    Attributes:
        model: sizes of the network.
        sigma_vox: standard deviation of the ground-truth volumes' Gaussians.
    """

    model: ModelConfig
    sigma_vox: float = 1.0
    loss: LossConfig = field(default_factory=LossConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("sigma_vox", self.sigma_vox, 0.1)


@dataclass(frozen=True, kw_only=True)
class DetectConfig(RunConfig):
    """All settings of the training of a detector, except the data.

    Attributes:
        model: sizes of the network.
        box_weight, roll_weight: weights of these losses, relative to the heatmap loss.
    """

    model: DetectorConfig = field(default_factory=DetectorConfig)
    box_weight: float = 2.0
    roll_weight: float = 5.0
    scenes: SceneAugmentation = field(default_factory=SceneAugmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("box_weight", self.box_weight, 0)
        _check("roll_weight", self.roll_weight, 0)
        for stage in self.stages:
            if (stage.end_to_end, stage.coordinate_weight, stage.volume_noise) != (True, 1.0, 0.0):
                raise ValueError(
                    f"stage {stage.name!r}: end_to_end, coordinate_weight and volume_noise are of landmark networks; "
                    "leave them out"
                )


def two_stages(samples: int, first_share: float, lr: float, coordinate_weight: float) -> tuple[Stage, Stage]:
    """The paper's scheme: G and P side by side on ground-truth volumes, then end to end."""
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
