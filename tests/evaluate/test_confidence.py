"""Figures about visibility and σ, by hand and on drawn heads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jvcr.evaluate import confidence
from jvcr.evaluate.confidence import sparsification, worst_precision
from jvcr.evaluate.ranking import area_under_roc, calibration_error
from jvcr.runtime.confidence import Confidence
from jvcr.runtime.landmark_confidence import LandmarkConfidence, input_size

N = 68


def test_area_under_roc_by_hand() -> None:
    values, positive = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    # Pairs: (0.4, 0.1) and (0.9, 0.1) and (0.9, 0.4) right, (0.4, 0.4) a tie.
    assert area_under_roc(values, positive) == pytest.approx(3.5 / 4)
    assert np.isnan(area_under_roc(values, np.ones(4, bool)))


def test_calibration_error_by_hand() -> None:
    # Of two at 0.75, one is true (0.25 off); of two at 0.05, none (0.05 off).
    probability, true = np.array([0.75, 0.75, 0.05, 0.05]), np.array([True, False, False, False])
    assert calibration_error(probability, true) == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


def test_sparsification_by_hand() -> None:
    error = np.arange(1.0, 21.0)
    sigma = error.copy()
    sigma[[19, 0]] = sigma[[0, 19]]  # the worst face claims to be the best, and the other way round
    curve = sparsification(sigma, error)
    # Without a tenth of 20 faces, the two of the largest σ are those with the errors 1 and 19.
    assert curve.removed[2] == 0.1
    assert curve.by_sigma[2] == pytest.approx((error.sum() - 1 - 19) / 18)
    assert curve.by_error[2] == pytest.approx((error.sum() - 20 - 19) / 18)
    assert worst_precision(sigma, error) == 0.5


def trusting(frontal: Callable[..., object], sigma: float, shift_unit: float) -> object:
    """The network that is right about frontal heads, ``shift_unit`` beside them; it says σ everywhere, and that the
    jaw (0 to 16) is hidden."""
    inputs = input_size(N)
    second = np.zeros((2 * N, 2), np.float32)
    second[:17, -1], second[17:N, -1], second[N:, -1] = -3.0, 3.0, np.log(sigma)
    own = LandmarkConfidence(np.ones((2, inputs), np.float32), np.zeros((1, inputs + 1), np.float32), second)
    network = frontal(shift_unit)
    network.confidence = replace(Confidence(), landmarks=own)  # type: ignore[attr-defined]
    return network


@pytest.fixture
def folder(make_table: Callable[..., Path], tmp_path: Path) -> Path:
    """Four frontal heads; the jaw of the first three is hidden, and all of the fourth is unknown."""
    visibility = np.zeros((4, N), np.int8)
    visibility[0, :17], visibility[1:3, :17], visibility[3] = 1, 2, -1
    return make_table(tmp_path, [0.0] * 4, ["val"] * 4, visibility=visibility)


def test_a_network_that_knows_itself(frontal: Callable[..., object], folder: Path) -> None:
    weights = {"own": trusting(frontal, 0.01, 0.0)}
    report = confidence.evaluate(folder, weights, mirror=False, refine=False, conditions=["grey"])  # type: ignore[arg-type]
    score = report.scores["own"]
    assert score.visibility == {"self-occluded": 1.0, "occluded": 1.0, "both": 1.0}
    assert score.landmarks == 3 * N
    assert score.calibration == pytest.approx(1 / (1 + np.exp(3)), abs=1e-4)
    assert score.coverage["all"].count == 4 * N * 2 and score.coverage["jaw"].count == 4 * 17 * 2
    assert score.coverage["all"].within_1 == score.coverage["grey"].within_1 == 1
    assert score.coverage["all"].median_sigma == pytest.approx(0.01, rel=1e-3)
    assert score.reliable[0] == 1.0
    assert list(score.worst) == ["the labels"] and score.labels_agree is None
    record = json.loads(json.dumps(report.to_dict()))
    assert record["systems"]["own"]["coverage"]["yaw over 60°"]["within_1"] is None
    assert "Expected calibration error: 0.047" in report.to_text()


def test_a_network_that_is_too_sure(frontal: Callable[..., object], folder: Path) -> None:
    """Every x is off by 5 % of the crop's side, or about 6 % of the diagonal: more than 2σ; every y is right."""
    weights = {"own": trusting(frontal, 0.01, 0.05)}
    report = confidence.evaluate(folder, weights, mirror=False, refine=False, conditions=())  # type: ignore[arg-type]
    assert report.scores["own"].coverage["all"].within_1 == 0.5
    assert report.scores["own"].coverage["all"].within_2 == 0.5


def test_weights_that_cannot_tell(frontal: Callable[..., object], folder: Path) -> None:
    with pytest.raises(ValueError, match="weights own cannot tell visibility and σ"):
        confidence.evaluate(folder, {"own": frontal()})  # type: ignore[dict-item]


def test_visibility_of_the_benchmark(
    frontal: Callable[..., object], make_benchmark: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_benchmark(tmp_path / "a", [0.0, 5.0])
    hidden = np.zeros((2, N), bool)
    hidden[:, :17] = True
    np.savez(
        root / "hand2d.npz",
        id=np.array(["image00000", "image00007"]),
        self_occluded=hidden,
        externally_occluded=~hidden & False,
        good=np.array([True, False]),
    )
    weights = {"own": trusting(frontal, 0.05, 0.0)}
    report = confidence.evaluate(root, weights, conditions=())  # type: ignore[arg-type]
    score = report.scores["own"]
    # The marks of the second image are not good.
    assert (report.faces, score.landmarks) == (2, N)
    assert score.visibility["self-occluded"] == 1.0
    assert np.isnan(score.visibility["occluded"])
    # The Reannotated labels are all 3 px lower, so the face whose box is smaller has the larger error against them.
    assert list(score.worst) == ["original labels", "Reannotated labels", "the mean of both"]
    assert score.worst["Reannotated labels"] == score.worst["the mean of both"]
    assert score.labels_agree in (0.0, 1.0)
    assert "against the mean of both" in report.to_text()
    np.savez(root / "bad.npz", id=np.array(["a"]), self_occluded=hidden, externally_occluded=hidden)
    with pytest.raises(ValueError, match=r"self_occluded has shape \(2, 68\); expected \(1, 68\)"):
        confidence.evaluate(root, weights, hand=root / "bad.npz")  # type: ignore[arg-type]
