"""The presets of ``jvcr train``."""

from __future__ import annotations

import math
from dataclasses import replace

from jvcr.frames import CropRule
from jvcr.model.config import PRESETS, DetectorConfig
from jvcr.train.config import DetectConfig, Stage, TrainConfig, two_stages
from jvcr.train.data.augment import Augmentation
from jvcr.train.data.stream import Sampling
from jvcr.train.losses import LossConfig

_SAMPLING = Sampling(half_profile=1.2, profile=1.4, sources=(("300wlp-ibug", 1.5),), closed_eyes=6.0, wide_mouths=2.0)

_LOSS = LossConfig(gaps=5.0)

# The paper lists rotation, scaling and flipping, without amounts.
_GEOMETRY_ONLY = Augmentation(
    shift=0.0,
    rotation_share=1.0,
    light_share=0.0,
    grey_share=0.0,
    blur_share=0.0,
    coarse_share=0.0,
    noise_share=0.0,
    occlusion_share=0.0,
    no_face_share=0.0,
)


def _constant(name: str, epochs: float, end_to_end: bool, coordinate_weight: float, lr: float) -> Stage:
    return Stage(
        name,
        end_to_end=end_to_end,
        coordinate_weight=coordinate_weight,
        lr=lr,
        final_lr=lr,
        epochs=epochs,
    )


def _published_stages(coordinate_weight: float) -> tuple[Stage, ...]:
    """15 epochs side by side and 10 end to end; 2.5e-4, divided by 10 after epochs 10 and 20 of the 25."""
    return (
        _constant("side by side, epochs 1-10", 10, False, coordinate_weight, 2.5e-4),
        _constant("side by side, epochs 11-15", 5, False, coordinate_weight, 2.5e-5),
        _constant("end to end, epochs 16-20", 5, True, coordinate_weight, 2.5e-5),
        _constant("end to end, epochs 21-25", 5, True, coordinate_weight, 2.5e-6),
    )


RECIPES: dict[str, TrainConfig] = {
    # The shipped weights.
    "small": TrainConfig(
        model=PRESETS["small"],
        stages=two_stages(360_000, first_share=0.15, lr=1.5e-3, coordinate_weight=20.0),
        loss=_LOSS,
        sampling=_SAMPLING,
    ),
    "nano": TrainConfig(
        model=PRESETS["nano"],
        stages=two_stages(360_000, first_share=0.03, lr=2e-3, coordinate_weight=20.0),
        loss=_LOSS,
        sampling=_SAMPLING,
    ),
    # For `--init`: a short run end to end at a low rate.
    "finetune": TrainConfig(
        model=PRESETS["small"],
        stages=(Stage("end to end", 40_000, True, 20.0, lr=3e-4, final_lr=3e-6, warmup_samples=1_000),),
        validate_every=5_000,
        loss=_LOSS,
        sampling=_SAMPLING,
    ),
    # As published. The paper does not give λ. With coordinates in voxels and sums as in eq. 3 and 4, 0.1 makes both
    # losses about equal near the end (an error of one voxel per coordinate gives 20, an empty volume 10).
    "paper": TrainConfig(
        model=PRESETS["paper"],
        stages=_published_stages(coordinate_weight=0.1),
        batch_size=16,
        optimizer="rmsprop",
        weight_decay=0.0,
        clip_norm=0.0,
        ema_decay=0.0,
        loss=LossConfig(
            foreground=0.0,
            peak=1 / (2 * math.pi),
            voxel_sum=True,
            squared=True,
            coordinate_sum=True,
            coordinate_unit="voxel",
        ),
        precision="32-true",
        validate_every=0,
        workers=12,
        augmentation=_GEOMETRY_ONLY,
    ),
    # Like the authors' code, without its defects: volumes shifted by one voxel against the coordinates, and flips off
    # by one pixel. It evaluates 68 of 71 points: use the markup `jvcr-71` with it.
    "paper-code": TrainConfig(
        model=replace(PRESETS["paper"], crop=CropRule(1.25, "width")),
        stages=tuple(replace(stage, coordinate_weight=10.0) for stage in _published_stages(10.0)),
        batch_size=16,
        optimizer="adam",
        weight_decay=0.0,
        clip_norm=0.0,
        ema_decay=0.0,
        # coord + 0.1 · vox, up to a common factor.
        loss=LossConfig(foreground=0.0, whole_voxels=True, squared=True),
        precision="32-true",
        validate_every=0,
        workers=12,
        augmentation=replace(_GEOMETRY_ONLY, rotation_deg=40.0, colour_shift=0.3),
    ),
    # With `--init small`: the recipe of the weights `large`.
    "large": TrainConfig(
        model=PRESETS["large"],
        stages=(Stage("end to end", 200_000, True, 20.0, lr=1e-3, final_lr=1e-5, warmup_samples=6_000),),
        validate_every=40_000,
        loss=_LOSS,
        sampling=_SAMPLING,
        augmentation=Augmentation(any_roll_share=0.06),
    ),
    # The paper's network with our losses, optimiser and augmentation. For a GPU.
    "paper-size": TrainConfig(
        model=PRESETS["paper"],
        stages=two_stages(600_000, first_share=0.15, lr=1e-3, coordinate_weight=20.0),
        batch_size=64,
        compile=True,
        loss=_LOSS,
        sampling=_SAMPLING,
        workers=12,
    ),
    # Seconds, for tests and examples.
    "tiny": TrainConfig(
        model=PRESETS["tiny"],
        stages=two_stages(20_000, first_share=0.2, lr=3e-3, coordinate_weight=20.0),
        ema_decay=0.99,
        validate_every=5_000,
    ),
}

DETECT_RECIPES: dict[str, DetectConfig] = {
    # The shipped detector.
    "detector": DetectConfig(
        stages=(Stage("scenes", 250_000, lr=2e-3, final_lr=2e-5, warmup_samples=4_000),),
        validate_every=20_000,
        workers=2,
    ),
    # Seconds, for tests and examples.
    "tiny-detector": DetectConfig(
        model=DetectorConfig(image_size=128, stem_channels=(8, 16), channels=(24, 32, 32), blocks=1),
        stages=(Stage("scenes", 2_000, lr=3e-3, final_lr=3e-5, warmup_samples=100),),
        ema_decay=0.98,
        batch_size=16,
        validate_every=1_000,
    ),
}
