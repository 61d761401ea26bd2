"""The shipped weights on real data. Needs the environment variable JVCR_DATA: a folder with the training table and
AFLW2000-3D's development half (docs/datasets.md)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jvcr.evaluate.run import Predictions, predict_samples, report
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

DATA = Path(os.environ.get("JVCR_DATA", "JVCR_DATA is not set"))
BENCHMARK = DATA / "aflw2000-3d-dev"
needs_benchmark = pytest.mark.skipif(not BENCHMARK.is_dir(), reason=f"no AFLW2000-3D: {BENCHMARK} is not a folder")


@pytest.fixture(scope="module")
def runtime() -> OnnxRuntime:
    return OnnxRuntime(weights_path("small"))


@pytest.fixture(scope="module")
def predictions(runtime: OnnxRuntime) -> Predictions:
    from jvcr.data.aflw2000 import read_aflw2000

    return predict_samples(runtime, read_aflw2000(BENCHMARK))


@needs_benchmark
def test_accuracy_on_aflw2000_3d(runtime: OnnxRuntime, predictions: Predictions) -> None:
    result = report(predictions, runtime.markup.normaliser)
    assert result.nme.counts == (656, 191, 152)
    assert result.nme.mean <= 0.043
    assert result.gte <= 0.085


@needs_benchmark
def test_reader_respects_sign_and_pixel_base(predictions: Predictions) -> None:
    # Predictions are 0-based with z away from the camera: a reader that is off by one pixel, or turned, would show.
    off = predictions.target_img - predictions.points_img
    assert abs(off[..., :2].mean(axis=(0, 1))).max() < 0.6
    depth, truth = predictions.points_img[..., 2], predictions.target_img[..., 2]
    assert (depth * truth).sum() > 0.9 * (truth**2).sum()


@needs_benchmark
def test_reannotated_labels_are_read(runtime: OnnxRuntime, predictions: Predictions) -> None:
    from jvcr.data.aflw2000 import reannotated_targets

    targets = reannotated_targets(BENCHMARK, predictions.names)
    assert targets is not None
    assert report(predictions, runtime.markup.normaliser, targets).nme.mean <= 0.043
