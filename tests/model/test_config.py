from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from jvcr.model.config import PRESETS, ModelConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_round_trip_through_json(preset: str) -> None:
    config = replace(PRESETS[preset], n_points=5)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_paper_preset_is_the_papers() -> None:
    paper = PRESETS["paper"]
    assert (paper.image_size, paper.volume_size, paper.depths, paper.n_points) == (256, 64, (1, 2, 4, 64), 68)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem": "none"}, "stem 'none' is unknown"),
        ({"image_size": 65}, "image_size 65 must be 4 × volume_size 16"),
        ({"hourglass_depth": 5}, "volume_size 16 cannot be halved 5 times"),
        ({"regressor_channels": (8, 16, 24, 32)}, "needs a final volume of 32³, or half as deep, not 16×16×16"),
        ({"depths": (2, 4)}, "needs a final volume of 16³, or half as deep, not 4×16×16"),
        ({"n_points": 0}, "n_points is 0"),
        ({"subvoxels": 3}, "subvoxels is 3; expected 1 or 2"),
        ({"detail_channels": 8}, "detail_channels is 8 with subvoxels 1"),
    ],
)
def test_invalid_config_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["tiny"], **change)


def test_reading_a_config_needs_no_pytorch() -> None:
    code = "import sys, jvcr.model.config, jvcr.markups.markup; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_the_last_volume_is_finer() -> None:
    assert PRESETS["small"].volume_shapes == ((4, 32, 32), (32, 64, 64))
    assert PRESETS["paper"].volume_shapes == ((1, 64, 64), (2, 64, 64), (4, 64, 64), (64, 64, 64))


def test_a_configuration_of_version_0_1_has_coarse_volumes() -> None:
    values = {k: v for k, v in PRESETS["tiny"].to_dict().items() if k not in ("subvoxels", "detail_channels")}
    assert ModelConfig.from_dict(values) == PRESETS["tiny"]
