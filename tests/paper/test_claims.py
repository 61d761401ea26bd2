from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jvcr.data.table import Table
from jvcr.evaluate.errors import LandmarkErrors
from jvcr.markups.markup import MARKUP_68
from jvcr.paper.claims.learners import rasterise_each, sparse_voxel_loss
from jvcr.paper.claims.networks import peaks_unit
from jvcr.paper.claims.run import VARIANTS, Cost, Outcome, configuration, cost_of, curves_of, table_of, train_variant
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.learner import Part
from jvcr.train.loop import Progress
from jvcr.train.losses import LossConfig, voxel_loss
from jvcr.train.targets import patches
from jvcr.train.vary import Rows


class Silent:
    def on_progress(self, progress: Progress) -> None: ...

    def on_validation(self, samples: int, result: LandmarkErrors) -> None: ...


def part_of(points_unit: torch.Tensor, size: int) -> Part:
    rows = len(points_unit)
    crops = torch.randint(0, 256, (rows, size, size, 3), dtype=torch.uint8)
    everything = torch.ones(points_unit.shape[:2], dtype=torch.bool)
    return Part(crops, points_unit, torch.ones(rows), everything, torch.tensor(float(rows)), Rows(rows, 0, rows), 3)


def test_peaks_by_hand() -> None:
    volumes = torch.zeros(1, 2, 3, 5, 9)
    volumes[0, 0, 1, 2, 4] = 1.0
    volumes[0, 0, 1, 2, 5] = 0.5  # a third of the mass lies one voxel to the right
    volumes[0, 1, 2, 4, 8] = 1.0  # in the corner
    expected = [[(4 + 1 / 3 + 0.5) / 9, 2.5 / 5, 1.5 / 3], [8.5 / 9, 4.5 / 5, 2.5 / 3]]
    torch.testing.assert_close(peaks_unit(volumes)[0], torch.tensor(expected))


def test_peaks_find_what_was_drawn() -> None:
    torch.manual_seed(0)
    points_unit = 0.25 + 0.5 * torch.rand(2, 4, 3)
    volumes = rasterise_each(points_unit, (12, 16, 20), 1.0).view(2, 4, 12, 16, 20)
    found = peaks_unit(volumes)
    # The centre of mass over 5 voxels to each side is biased a little towards the voxel's centre.
    assert (found - points_unit).abs().max() < 0.1 / 12


def test_sparse_loss_equals_the_dense_one() -> None:
    torch.manual_seed(0)
    points_unit = torch.rand(2, 3, 3) * 1.2 - 0.1
    predicted = torch.randn(2, 15, 7, 8, requires_grad=True)
    dense = voxel_loss([predicted], [rasterise_each(points_unit, (5, 7, 8), 1.0)], LossConfig(foreground=7.0))
    sparse = sparse_voxel_loss(predicted.view(2, 3, -1), *patches(points_unit, (5, 7, 8)), 7.0)
    torch.testing.assert_close(sparse, dense)
    torch.testing.assert_close(*(torch.autograd.grad(loss, predicted)[0] for loss in (sparse, dense)))


@pytest.mark.parametrize("subvoxels", [1, 2])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_of_every_variant_learns(name: str, subvoxels: int) -> None:
    torch.manual_seed(0)
    config = configuration(name, 100, 0, "tiny")
    config = replace(config, model=replace(config.model, subvoxels=subvoxels))
    learner = VARIANTS[name].learner(config, config.model, MARKUP_68)
    part = part_of(0.2 + 0.6 * torch.rand(3, 68, 3), config.model.image_size)
    learner.network.train()
    learner.losses(learner.network, part, config.stages[-1]).loss.backward()
    without = [n for n, p in learner.network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_depth_of_two_steps_does_not_reach_the_heatmaps() -> None:
    torch.manual_seed(0)
    config = configuration("b", 100, 0, "tiny")
    learner = VARIANTS["b"].learner(config, config.model, MARKUP_68)
    part = part_of(0.2 + 0.6 * torch.rand(3, 68, 3), config.model.image_size)
    learner.losses(learner.network, part, config.stages[-1]).coordinate_loss.backward()
    assert all(p.grad is None for n, p in learner.network.named_parameters() if n.startswith("heatmaps"))


def test_configurations_differ_in_one_thing_only() -> None:
    whole = configuration("a", 1000, 5, "small")
    assert [s.samples for s in whole.stages] == [150, 850]
    for name in VARIANTS:
        other = configuration(name, 1000, 5, "small")
        assert other.total_samples == 1000 and other.seed == 5
        assert (other.batch_size, other.augmentation, other.loss) == (whole.batch_size, whole.augmentation, whole.loss)
        assert (other.model == whole.model) == (name != "e")
    assert configuration("e", 1000, 5, "small").model.depths == (32, 32)
    assert [s.end_to_end for s in configuration("f", 1000, 5, "small").stages] == [False]
    assert [s.end_to_end for s in configuration("g", 1000, 5, "small").stages] == [True]


def test_stages_and_validations_follow_the_recipe() -> None:
    config = configuration("a", 300_000, 0, "nano", validations=15)
    assert [(s.samples, s.lr) for s in config.stages] == [(9_000, 2e-3), (291_000, 2e-3)]
    assert config.validate_every == 20_000
    assert config.loss.gaps == 0


def test_curves_by_hand(tmp_path: Path) -> None:
    for name, rows in (("a", "20,0.1\n40,0.05\n"), ("b", "20,0.2\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text(f"samples,nme\n{rows}")
    assert curves_of(tmp_path, ["a", "b"]).splitlines()[2:] == ["| 20 | 10.00 | 20.00 |", "| 40 | 5.00 | – |"]


@pytest.mark.parametrize("name", ["b", "d"])
def test_variant_trains_and_is_measured(four_faces: Table, tmp_path: Path, name: str) -> None:
    outcome = train_variant(
        name, four_faces, four_faces, Backgrounds(), tmp_path, Silent(), samples=64, seed=1, preset="tiny"
    )
    assert (outcome.variant, outcome.samples, outcome.seed) == (name, 64, 1)
    assert 0 < outcome.nme < 2 and outcome.gte > 0
    assert (tmp_path / "outcome.json").is_file()


@pytest.mark.slow
def test_cost_is_measured_in_its_own_process() -> None:
    compact, conventional = cost_of("a", "tiny"), cost_of("d", "tiny")
    # 32 crops, volumes of 2 and 16 slices of 16 × 16 voxels, 4 bytes; 68 times as much with one volume per landmark.
    assert compact.volume_mb == pytest.approx(32 * 18 * 256 * 4 / 1e6)
    assert conventional.volume_mb == pytest.approx(68 * compact.volume_mb)
    assert conventional.step_mb > compact.step_mb > 0
    assert compact.images_per_s > 0 and compact.face_ms > 0


def test_table_shows_every_variant() -> None:
    outcome = Outcome("c", "tiny", 10, 0, (0.01, 0.02, float("nan")), 0.015, 0.001, 0.014, 0.05)
    (line,) = table_of([(outcome, Cost(1_500_000, 12.0, 0.0, 70.0, 4.5))]).splitlines()[2:]
    errors = "1.00 / 2.00 / – | 1.50 ± 0.10 | 1.40 | 5.00"
    assert line == f"| c | direct coordinate regression | {errors} | 1.50 | 12 | 0.0 | 70 | 4.5 |"
