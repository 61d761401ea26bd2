from __future__ import annotations

import numpy as np
import pytest

from jvcr.images import Image
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.base import Prediction
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path


@pytest.fixture(scope="module")
def crops() -> Image:
    """(3, 128, 128, 3): noise that is not its own mirror image."""
    return np.random.default_rng(1).integers(0, 256, (3, 128, 128, 3), np.uint8)


def turned_back(prediction: Prediction) -> Prediction:
    points = prediction.points_unit[:, list(MARKUP_68.mirror)].copy()
    points[..., 0] = 1 - points[..., 0]
    return Prediction.from_volume(prediction.volume[:, :, :, ::-1], points)


def test_it_is_the_mean_of_both_looks(crops: Image) -> None:
    single = OnnxRuntime(weights_path("small"), 1)
    straight, other = single(crops), turned_back(single(np.ascontiguousarray(crops[:, :, ::-1])))
    averaged = MirrorAveraged(single)(crops)
    assert np.abs(straight.points_unit - other.points_unit).max() > 0.01
    np.testing.assert_allclose(averaged.points_unit, (straight.points_unit + other.points_unit) / 2, atol=1e-5)
    np.testing.assert_allclose(averaged.volume, (straight.volume + other.volume) / 2, atol=1e-4)


def test_a_mirrored_crop_gives_the_mirrored_prediction(crops: Image) -> None:
    averaged = MirrorAveraged(OnnxRuntime(weights_path("small"), 1))
    straight, other = averaged(crops), turned_back(averaged(np.ascontiguousarray(crops[:, :, ::-1])))
    np.testing.assert_allclose(straight.points_unit, other.points_unit, atol=1e-5)
    np.testing.assert_allclose(straight.volume, other.volume, atol=1e-4)
