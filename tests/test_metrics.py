from __future__ import annotations

import math

import numpy as np
import pytest

from jvcr.metrics import ground_truth_error, normalised_mean_error, yaw_table


def faces(seed: int, batch: int = 3, n_points: int = 68) -> tuple[np.ndarray, np.ndarray]:
    target = np.random.default_rng(seed).normal(100, 30, (batch, n_points, 3))
    return target + np.random.default_rng(seed + 1).normal(0, 4, target.shape), target


def test_nme_by_hand() -> None:
    target = np.array([[[0.0, 0, 0], [50, 200, 9], [20, 30, 1]], [[10.0, 10, 0], [50, 20, 0], [10, 20, 0]]])
    predicted = target + np.array([3, 4, 1000])
    predicted[1] = target[1] + [[6, 8, 0], [0, 0, 0], [0, 0, 0]]
    # 5 / sqrt(50 · 200) and (10 / 3) / sqrt(40 · 10); depth plays no part.
    np.testing.assert_allclose(normalised_mean_error(predicted, target), [0.05, 10 / 3 / 20])


def test_gte_by_hand() -> None:
    target = np.zeros((2, 4, 3))
    target[:, 1] = (0, 8, 6)  # 10 apart from point 0
    target[1] *= 2
    predicted = target + np.array([1, 0, 77])
    # A shift of 1 over 10 and over 20; the shift in z is taken out.
    np.testing.assert_allclose(ground_truth_error(predicted, target, normaliser=(0, 1)), [0.1, 0.05])
    # z off by +2, -2, 0, 0 at a mean of 0: (2 + 2) / 4 / 10.
    predicted = target + np.array([[0, 0, 2], [0, 0, -2], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(ground_truth_error(predicted, target, (0, 1)), [0.1, 0.05])


def test_nme_against_a_slow_loop() -> None:
    predicted, target = faces(1)
    for b, got in enumerate(normalised_mean_error(predicted, target)):
        xs, ys = [p[0] for p in target[b]], [p[1] for p in target[b]]
        size = math.sqrt((max(xs) - min(xs)) * (max(ys) - min(ys)))
        distances = [math.dist(p[:2], q[:2]) for p, q in zip(predicted[b], target[b], strict=True)]
        assert got == pytest.approx(sum(distances) / len(distances) / size)


@pytest.mark.parametrize("n_points", [66, 68])
def test_gte_against_a_slow_loop(n_points: int) -> None:
    predicted, target = faces(2, n_points=n_points)
    predicted[..., 2] += 12
    before = predicted.copy()
    for b, got in enumerate(ground_truth_error(predicted, target)):
        shift = sum(q[2] - p[2] for p, q in zip(predicted[b], target[b], strict=True)) / n_points
        total = sum(math.dist((p[0], p[1], p[2] + shift), q) for p, q in zip(predicted[b], target[b], strict=True))
        assert got == pytest.approx(total / n_points / math.dist(target[b][36], target[b][45]))
    np.testing.assert_array_equal(predicted, before)


@pytest.mark.parametrize("metric", [normalised_mean_error, ground_truth_error])
def test_metrics_do_not_mix_the_faces_of_a_batch(metric: object) -> None:
    predicted, target = faces(3, batch=4)
    whole = metric(predicted, target)
    one_by_one = [metric(predicted[b : b + 1], target[b : b + 1])[0] for b in range(4)]
    np.testing.assert_allclose(whole, one_by_one)


@pytest.mark.parametrize("metric", [normalised_mean_error, ground_truth_error])
def test_metrics_name_the_degenerate_face(metric: object) -> None:
    predicted, target = faces(4)
    target[1] = target[1, :1]
    with pytest.raises(ValueError, match="target 1 "):
        metric(predicted, target)


@pytest.mark.parametrize("metric", [normalised_mean_error, ground_truth_error])
@pytest.mark.parametrize("shapes", [((2, 68, 3), (2, 66, 3)), ((68, 3), (68, 3))])
def test_metrics_refuse_shapes(metric: object, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"two \(B, N, 3\) arrays"):
        metric(np.ones(shapes[0]), np.ones(shapes[1]))


def test_yaw_table_by_hand() -> None:
    errors = np.array([1.0, 2, 4, 8, 16, 32, 70])
    table = yaw_table(errors, np.array([0.0, -30, 30.5, 60, -90, 95, np.nan]))
    # 30 and 60 belong to the bin that they end; an unknown yaw is in no bin.
    assert table.bins == (1.5, 6, 24)
    assert table.counts == (2, 2, 2)
    assert table.mean == pytest.approx(10.5)
    assert table.std == pytest.approx(math.sqrt((9**2 + 4.5**2 + 13.5**2) / 2))
    assert table.image_mean == pytest.approx(133 / 7)


def test_yaw_table_reproduces_the_papers_mean_and_std() -> None:
    table = yaw_table(np.array([2.94, 3.46, 4.53]), np.array([10.0, -45, 80]))
    assert (round(table.mean, 2), round(table.std, 2)) == (3.64, 0.81)


def test_yaw_table_with_an_empty_bin_is_nan() -> None:
    table = yaw_table(np.array([1.0, 3]), np.array([5.0, 70]))
    assert table.counts == (1, 0, 1)
    assert math.isnan(table.bins[1]) and math.isnan(table.mean) and math.isnan(table.std)
    assert table.image_mean == 2
