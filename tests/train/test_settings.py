from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jvcr.frames import CropRule
from jvcr.model.config import PRESETS
from jvcr.train.config import Stage
from jvcr.train.recipes import RECIPES
from jvcr.train.settings import changed, recipe, settings_of

FILE = """
preset = "tiny"
batch_size = 48
clip_norm = 2            # a whole number where a fraction is expected

[augmentation]
rotation_deg = 40.5

[model]
channels = 32

[model.crop]
factor = 1.25
by = "width"

[[stages]]
name = "all"
epochs = 3
lr = 1e-3
"""


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_survives_its_own_values(name: str) -> None:
    values = RECIPES[name].to_dict()
    # As TOML gives them.
    values = json.loads(json.dumps(values))
    assert changed(RECIPES[name], values) == RECIPES[name]


def test_file_overrides_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(FILE, encoding="utf-8")
    got = settings_of(RECIPES, path)
    tiny = RECIPES["tiny"]
    assert got == replace(
        tiny,
        batch_size=48,
        clip_norm=2.0,
        augmentation=replace(tiny.augmentation, rotation_deg=40.5),
        model=replace(PRESETS["tiny"], channels=32, crop=CropRule(1.25, "width")),
        stages=(Stage("all", epochs=3, lr=1e-3),),
    )
    # The command line's preset goes before the file's.
    assert settings_of(RECIPES, path, "small").sampling == RECIPES["small"].sampling


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batchsize = 3", "'batchsize' is no setting; did you mean 'batch_size'"),
        ("[augmentation]\nscael = 0.1", "'augmentation.scael' is no setting; did you mean 'scale'"),
        (
            "[model.crop]\nside = 0.1",
            "'model.crop.side' is no setting; did you mean|'model.crop.side'.*expected one of",
        ),
        ('[[stages]]\nname = "a"\nsample = 1', r"'stages\[0\].sample' is no setting; did you mean 'samples'"),
        ('[[stages]]\nname = "a"', "'a' has samples = 0 and epochs = 0.0; expected one of the two"),
        ('batch_size = "many"', "'batch_size' is 'many'; expected a whole number"),
        ("augmentation = 3", "'augmentation' is 3; expected a table"),
        ("stages = 3", r"'stages' is 3; expected a list of tables: \[\[stages\]\]"),
        ("ema_decay = 1.5", "ema_decay is 1.5; expected at least 0, at most 1"),
        ("log_every = 0", "log_every is 0; expected at least 1"),
        ("workers = -1", "workers is -1"),
        ("batch_size = true", "'batch_size' is True; expected a whole number"),
        ("lr = 1", "'lr' is no setting"),
        ("batch_size = 1.5", "'batch_size' is 1.5; expected a whole number"),
        ("compile = 1", "'compile' is 1; expected true or false"),
        ("optimizer = 1", "'optimizer' is 1; expected a text"),
        ("stages = [3]", r"'stages\[0\]' is 3; expected a table of settings"),
        ('[[stages]]\nname = "a"\nsamples = "5"', r"'stages\[0\].samples' is '5'; expected a whole number"),
        ("[[stages]]\nsamples = 5", r"'stages\[0\].name' is missing"),
        ("[augmentation]\nscale = 'x'", "'augmentation.scale' is 'x'; expected a number"),
        ("[sampling]\nsources = [['a', 'b']]", r"'sampling.sources\[0\]\[1\]' is 'b'; expected a number"),
        ("seed = 1979-05-27", "'seed' is '1979-05-27'; expected a whole number"),
        ("[augmentation]\nflip_share = 7", "augmentation.flip_share is 7"),
        ("[augmentation]\nrotation_deg = nan", "augmentation.rotation_deg is nan"),
        ("[model]\ndepths = 4", r"'model.depths' is 4; expected a list like \[\d"),
        ("[sampling]\nprofile = -1", "sampling of profile is -1"),
        ('[sampling]\nsources = "abc"', "'sampling.sources' is 'abc'; expected a list"),
        ('[[stages]]\nname = "a"\nsamples = 5\nlr = -1', "stage 'a': lr is -1"),
        ('[[stages]]\nname = "a"\nsamples = 5\nwarmup_samples = 6', "warmup_samples is 6, more than its samples"),
        ('preset = ["a"]', "preset .*'a'.* is unknown"),
        ('optimizer = "adamx"', "optimizer 'adamx' is unknown; expected adamw"),
        ("batch_size = 10\naccumulate = 4", "batch_size is 10 and accumulate 4"),
        ('preset = "smal"', "preset 'smal' is unknown; did you mean 'small'"),
        ("batch_size = ", "not a TOML file"),
    ],
)
def test_mistakes_are_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        settings_of(RECIPES, path)
    assert str(path) in str(caught.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.toml: no such settings file"):
        settings_of(RECIPES, tmp_path / "none.toml")


def test_published_schedule_by_hand() -> None:
    paper = recipe(RECIPES, "paper").for_rows(1000)
    assert [(s.samples, s.end_to_end, s.lr) for s in paper.stages] == [
        (10_000, False, 2.5e-4),
        (5_000, False, 2.5e-5),
        (5_000, True, 2.5e-5),
        (5_000, True, 2.5e-6),
    ]
    assert (paper.optimizer, paper.sigma_vox, paper.validate_every) == ("rmsprop", 1.0, 1000)
    # Eq. 1's peak, eq. 3's and 4's sums of squares.
    assert paper.loss.peak == pytest.approx(0.1592, abs=1e-4)
    assert paper.loss.voxel_sum and paper.loss.coordinate_sum and paper.loss.squared and paper.loss.foreground == 0
    assert paper.model == PRESETS["paper"]
