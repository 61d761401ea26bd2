"""The shipped weights on real data. Needs the environment variable JVCR_DATA: a folder with the training table and
AFLW2000-3D's development half (docs/datasets.md). The images that the markup was aligned on are left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jvcr.data.sample import Sample
from jvcr.evaluate.errors import landmark_errors
from jvcr.evaluate.run_network import Predictions, predict_samples
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

DATA = Path(os.environ.get("JVCR_DATA", "JVCR_DATA is not set"))
BENCHMARK = DATA / "aflw2000-3d-dev"
needs_benchmark = pytest.mark.skipif(not BENCHMARK.is_dir(), reason=f"no AFLW2000-3D: {BENCHMARK} is not a folder")

needs_table = pytest.mark.skipif(not (DATA / "labels.npz").is_file(), reason=f"no training table in {DATA}")


CALIBRATION = DATA / "aflw2000-3d-calibration-ids.txt"

# NME mean of bins, GTE, and NME on Reannotated labels; single pass. JVCR's paper has 0.0364 and 0.0728.
BOUNDS = {
    "small": (0.0344, 0.0705, 0.0284),
    "nano": (0.0388, 0.0770, 0.0343),
    "large": (0.0342, 0.0700, 0.0283),
}


@pytest.fixture(scope="module", params=list(BOUNDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runtime(name: str) -> OnnxRuntime:
    return OnnxRuntime(weights_path(name))


@pytest.fixture(scope="module")
def predictions(runtime: OnnxRuntime) -> Predictions:
    return predict_samples(runtime, benchmark_samples())


def benchmark_samples() -> Iterator[Sample]:
    from jvcr.data.formats.aflw2000 import read_aflw2000

    aligned_on = set(CALIBRATION.read_text(encoding="utf-8").split())
    return (sample for sample in read_aflw2000(BENCHMARK) if sample.name not in aligned_on)


@needs_benchmark
def test_accuracy_on_aflw2000_3d(name: str, runtime: OnnxRuntime, predictions: Predictions) -> None:
    result = landmark_errors(predictions, runtime.markup.normaliser)
    assert sum(result.nme.counts) == 666
    assert result.gte is not None
    assert result.nme.mean <= BOUNDS[name][0]
    assert result.gte <= BOUNDS[name][1]


@needs_benchmark
def test_reader_respects_sign_and_pixel_base(predictions: Predictions) -> None:
    # Predictions are 0-based with z away from the camera: this reveals a reader that is off by a pixel or negates z.
    off = predictions.target_img - predictions.points_img
    # The networks are up to 0.71 px off in x and 0.16 px in y. A reader that is off by a pixel gives 0.9 or more in y.
    assert abs(off[..., :2].mean(axis=(0, 1))).max() < 0.8
    depth, truth = predictions.points_img[..., 2], predictions.target_img[..., 2]
    assert (depth * truth).sum() > 0.9 * (truth**2).sum()


@needs_benchmark
def test_reannotated_labels_are_read(name: str, runtime: OnnxRuntime, predictions: Predictions) -> None:
    from jvcr.data.formats.aflw2000 import reannotated_targets

    targets = reannotated_targets(BENCHMARK, predictions.names)
    assert targets is not None
    assert landmark_errors(predictions, runtime.markup.normaliser, targets).nme.mean <= BOUNDS[name][2]


# Of small: area under the ROC curve for closed eyes, slope and correlation of eyes and of mouths, and the medians drawn
# on closed eyes and shut mouths.
@needs_table
def test_eyes_close_and_mouths_open() -> None:
    from jvcr.data.table import Table
    from jvcr.evaluate.expression_scores import marked_rows, score_expression, truth_of_samples
    from jvcr.evaluate.systems import System

    runtime = OnnxRuntime(weights_path("small"))
    table = Table(DATA, "val")
    samples = [table[row] for row in marked_rows(table)]
    truth = truth_of_samples("validation rows", samples)
    predicted = predict_samples(MirrorAveraged(runtime), samples, rough=runtime)
    score = score_expression(System("small", "true boxes", predicted.points_img), truth)
    eyes, mouths = score.fits["all"]["eye opening"], score.fits["all"]["mouth opening"]
    assert score.closed_eyes["all"] >= 0.88 and score.closed_eyes["up to 30°"] >= 0.90
    assert eyes.slope >= 0.53 and eyes.correlation >= 0.67
    assert mouths.slope >= 0.79 and mouths.correlation >= 0.84
    assert score.groups["closed eyes"].predicted <= 0.17
    assert score.groups["shut mouths"].predicted <= 0.05


@needs_table
def test_boxes_and_rolls_of_users_cost_little(runtime: OnnxRuntime) -> None:
    from jvcr.data.table import Table
    from jvcr.evaluate.robustness import REFERENCE, errors_by_condition

    table = Table(DATA, "val")
    rows = [table[row] for row in range(0, len(table), 4)]
    names = (REFERENCE, "box shifted by 15 %", "box ±15 % in size", "turned by ±30°")
    reference, *worse = errors_by_condition(MirrorAveraged(runtime), rows, rough=runtime, conditions=names)
    for row in worse:
        # A face that is taken for an upside-down one adds a tenth to the mean of its bin, so check the share, too.
        assert row.failures <= reference.failures + 0.01, row.condition
        # The reference is 1 % better since it is no longer refined where its box is good.
        assert row.nme.mean <= 1.15 * reference.nme.mean, row.condition


@needs_table
def test_mirror_images_help(runtime: OnnxRuntime) -> None:
    from jvcr.data.table import Table

    table = Table(DATA, "val")
    rows = [table[row] for row in range(0, len(table), 8)]
    once, twice = (
        landmark_errors(predict_samples(network, rows), runtime.markup.normaliser)
        for network in (runtime, MirrorAveraged(runtime))
    )
    assert twice.nme.mean < 0.97 * once.nme.mean
