from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jvcr.geometry import rotation_from_angles
from jvcr.metrics import (
    angle_errors,
    area_under_ced,
    balanced_mean,
    bootstrap,
    bootstrap_groups,
    ced,
    cvgtce,
    failure_rate,
    ground_truth_error,
    interval,
    normalised_mean_error,
    normalised_mean_error_3d,
    region_errors,
    rotation_errors,
    yaw_table,
)


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


@pytest.mark.parametrize("metric", [normalised_mean_error, normalised_mean_error_3d, ground_truth_error, cvgtce])
def test_metrics_do_not_mix_the_faces_of_a_batch(metric: object) -> None:
    predicted, target = faces(3, batch=4)
    whole = metric(predicted, target)
    one_by_one = [metric(predicted[b : b + 1], target[b : b + 1])[0] for b in range(4)]
    np.testing.assert_allclose(whole, one_by_one)


@pytest.mark.parametrize("metric", [normalised_mean_error, normalised_mean_error_3d, ground_truth_error, cvgtce])
def test_metrics_name_the_degenerate_face(metric: object) -> None:
    predicted, target = faces(4)
    target[1] = target[1, :1]
    with pytest.raises(ValueError, match="target 1 "):
        metric(predicted, target)


@pytest.mark.parametrize("metric", [normalised_mean_error, normalised_mean_error_3d, ground_truth_error, cvgtce])
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


def test_3d_nme_by_hand() -> None:
    target = np.array([[[0.0, 0, 0], [50, 200, 9], [20, 30, 1], [7, 7, 7]]])
    predicted = target + np.array([[0, 0, 6], [0, 0, -6], [0, 0, 6], [0, 0, -6]]) + [0, 0, 31]
    np.testing.assert_allclose(normalised_mean_error_3d(predicted, target), [0.06])
    # 3 in x, 4 in y and 12 in depth: 13 over sqrt(50 · 200).
    predicted = target + np.array([[3, 4, 12], [3, 4, -12], [3, 4, 12], [3, 4, -12]])
    np.testing.assert_allclose(normalised_mean_error_3d(predicted, target), [0.13])


def test_3d_nme_against_a_slow_loop() -> None:
    predicted, target = faces(5, n_points=7)
    for b, got in enumerate(normalised_mean_error_3d(predicted, target)):
        xs, ys = [p[0] for p in target[b]], [p[1] for p in target[b]]
        shift = sum(q[2] - p[2] for p, q in zip(predicted[b], target[b], strict=True)) / 7
        total = sum(math.dist((p[0], p[1], p[2] + shift), q) for p, q in zip(predicted[b], target[b], strict=True))
        assert got == pytest.approx(total / 7 / math.sqrt((max(xs) - min(xs)) * (max(ys) - min(ys))))


def test_3d_nme_needs_three_coordinates() -> None:
    with pytest.raises(ValueError, match="expected 3 coordinates per landmark, got 2"):
        normalised_mean_error_3d(np.ones((2, 5, 2)), np.ones((2, 5, 2)))


def test_regions_by_hand() -> None:
    target = np.array([[[0.0, 0], [50, 200], [20, 30], [10, 10], [40, 2]]])
    predicted = target + np.array([[3, 4], [0, 10], [0, 0], [6, 8], [0, 1]])
    got = region_errors(predicted, target, {"corners": (0, 1), "rest": (4, 2, 3)})
    # (5 + 10) / 2 and (1 + 0 + 10) / 3, over the 100 px of the whole face.
    np.testing.assert_allclose(got["corners"], [0.075])
    np.testing.assert_allclose(got["rest"], [11 / 300])
    whole = (2 * got["corners"] + 3 * got["rest"]) / 5
    np.testing.assert_allclose(whole, normalised_mean_error(predicted, target))


def test_cvgtce_by_hand() -> None:
    # A cross with arms of 1 laid on one with arms of 3 and 5: the best scale is 4, and every point is 1 off.
    cross = np.array([[[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]])
    truth = cross * [3, 5, 1]
    np.testing.assert_allclose(cvgtce(cross, truth, (0, 1)), [1 / 6])
    np.testing.assert_allclose(cvgtce(cross, truth, (2, 3)), [1 / 10])


def test_cvgtce_against_scipys_alignment() -> None:
    transform = pytest.importorskip("scipy.spatial.transform", reason="SciPy comes with the extra train")
    predicted, target = faces(6, batch=5, n_points=66)
    target = 1.7 * target @ rotation_from_angles(50, 10, -20).T + [40, -300, 9]
    for b, got in enumerate(cvgtce(predicted, target)):
        x, y = predicted[b] - predicted[b].mean(axis=0), target[b] - target[b].mean(axis=0)
        rotation, _ = transform.Rotation.align_vectors(y, x)
        turned = rotation.apply(x)
        scale = (turned * y).sum() / (x * x).sum()
        off = [math.dist(p, q) for p, q in zip(scale * turned, y, strict=True)]
        assert got == pytest.approx(sum(off) / 66 / math.dist(target[b][36], target[b][45]))


@settings(max_examples=30)
@given(
    angles=st.tuples(st.floats(-89, 89), st.floats(-170, 170), st.floats(-170, 170)),
    scale=st.floats(0.05, 20),
    shift=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_cvgtce_does_not_care_for_the_view(
    angles: tuple[float, float, float], scale: float, shift: tuple[float, float, float]
) -> None:
    predicted, target = faces(7, batch=2, n_points=9)
    turn = rotation_from_angles(*angles)
    expected = cvgtce(predicted, target, (0, 4))
    assert expected.min() > 0.01
    np.testing.assert_allclose(cvgtce(scale * predicted @ turn.T + shift, target, (0, 4)), expected, rtol=1e-6)
    np.testing.assert_allclose(cvgtce(predicted, scale * target @ turn.T + shift, (0, 4)), expected, rtol=1e-6)
    # A mirror image is not a similarity.
    assert (cvgtce(predicted * [-1, 1, 1], target, (0, 4)) > 2 * expected).all()


def test_ced_auc_and_failure_rate_by_hand() -> None:
    errors = np.array([0.02, np.nan, 0.10, 0.08, 0.04])
    # Strictly below; a missed face never counts.
    np.testing.assert_allclose(ced(errors, np.array([0, 0.02, 0.03, 0.08, 0.09, 1])), [0, 0, 0.2, 0.4, 0.6, 0.8])
    assert area_under_ced(errors, 0.08) == pytest.approx((0.75 + 0 + 0 + 0 + 0.5) / 5)
    assert failure_rate(errors, 0.08) == pytest.approx(3 / 5)
    assert failure_rate(errors, 0.081) == pytest.approx(2 / 5)
    assert area_under_ced(np.array([np.nan]), 0.1) == 0
    assert failure_rate(np.array([np.nan]), 0.1) == 1
    with pytest.raises(ValueError, match="no face"):
        ced(np.array([]), np.array([0.1]))


@given(st.lists(st.one_of(st.floats(0, 0.3), st.just(math.nan)), min_size=1, max_size=12))
def test_auc_is_the_area_under_the_curve(values: list[float]) -> None:
    errors = np.array(values)
    # The curve is a step function: between two neighbouring errors, it has its value at their midpoint.
    steps = np.unique(np.clip([0.0, 0.1, *[v for v in values if v == v]], 0, 0.1))
    middles = (steps[1:] + steps[:-1]) / 2
    slow = [sum(v < t for v in values) / len(values) for t in middles]
    np.testing.assert_allclose(ced(errors, middles), slow)
    assert area_under_ced(errors, 0.1) == pytest.approx(float((np.diff(steps) * slow).sum()) / 0.1)


def test_bootstrap_against_a_slow_loop() -> None:
    errors = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])
    yaw = np.array([0.0, 10, -20, 40, -50, 80, -99, np.nan])
    got = bootstrap(errors, yaw, draws=5, seed=3)
    rng = np.random.default_rng(3)
    picks = [rng.integers(0, len(own), (5, len(own))) for own in ([1, 2, 4], [8, 16], [32, 64], [128])]
    for draw in range(5):
        bins = [
            [own[i] for i in pick[draw]]
            for own, pick in zip(([1.0, 2, 4], [8.0, 16], [32.0, 64], [128.0]), picks, strict=True)
        ]
        means = [sum(b) / len(b) for b in bins]
        np.testing.assert_allclose(got.bins[draw], means[:3])
        assert got.mean[draw] == pytest.approx(sum(means[:3]) / 3)
        assert got.image_mean[draw] == pytest.approx(sum(map(sum, bins)) / 8)


def test_bootstrap_interval_is_as_wide_as_statistics_say() -> None:
    rng = np.random.default_rng(1)
    errors, yaw = rng.normal(5, 2, 900), np.repeat([10.0, 40, 70], 300)
    drawn = bootstrap(errors, yaw, draws=4000)
    bounds = interval(drawn.bins[:, 1])
    own = errors[300:600]
    assert bounds.high - bounds.low == pytest.approx(2 * 1.96 * own.std() / math.sqrt(300), rel=0.06)
    assert (bounds.low + bounds.high) / 2 == pytest.approx(own.mean(), abs=0.03)
    # A bin without variation keeps its value.
    errors[600:] = 7
    assert interval(bootstrap(errors, yaw, 100).bins[:, 2]) == interval(np.full(3, 7.0))


def test_paired_differences_do_not_vary_when_the_gap_is_constant() -> None:
    errors, yaw = np.random.default_rng(2).normal(5, 2, 60), np.repeat([10.0, 40, 70], 20)
    gap = bootstrap(errors + 0.25, yaw, seed=4) - bootstrap(errors, yaw, seed=4)
    np.testing.assert_allclose(gap.mean, 0.25)
    np.testing.assert_allclose(gap.image_mean, 0.25)


def test_an_empty_bin_has_no_interval() -> None:
    drawn = bootstrap(np.array([1.0, 3]), np.array([5.0, 70]), draws=50)
    assert math.isnan(interval(drawn.bins[:, 1]).low) and math.isnan(interval(drawn.mean).high)
    assert 1 <= interval(drawn.image_mean).low <= interval(drawn.image_mean).high <= 3


def test_bootstrap_by_groups() -> None:
    errors = np.array([1.0, 3, 10, 20, 30])
    got = bootstrap_groups(errors, ["b", "b", "a", "a", "a"], draws=200, seed=1)
    # Two of {a, b} drawn with replacement: both b, both a, or one of each.
    assert set(np.round(got, 9)) == {2.0, 20.0, 12.8}
    shares = [(np.round(got, 9) == value).mean() for value in (2.0, 20.0, 12.8)]
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.5], atol=0.1)


def test_balanced_mean_by_hand() -> None:
    errors = np.array([1.0, 5, 0, 3, 6, 10, 20])
    yaw = np.array([0.0, 10, 40, 45, -50, 70, -80])
    got = balanced_mean(errors, yaw, draws=6000)
    assert got.per_bin == 2
    # The middle bin gives 1.5, 3 or 4.5, each a third of the time; the others always 3 and 15.
    assert got.mean == pytest.approx((3 + 3 + 15) / 3, abs=0.02)
    assert got.std == pytest.approx(1.5 * math.sqrt(2 / 3) / 3, rel=0.03)
    one = balanced_mean(errors, yaw, per_bin=1, draws=6000)
    assert one.per_bin == 1
    assert one.mean == pytest.approx(7, abs=0.1)
    assert one.std > 2 * got.std


def test_balanced_mean_of_equal_bins_is_the_mean_of_bins() -> None:
    errors, yaw = np.random.default_rng(3).normal(5, 2, 15), np.repeat([10.0, 40, 70], 5)
    got = balanced_mean(errors, yaw, draws=20)
    assert (got.per_bin, got.mean) == (5, pytest.approx(yaw_table(errors, yaw).mean))
    assert got.std == pytest.approx(0, abs=1e-12)
    empty = balanced_mean(errors[:10], yaw[:10])
    assert empty.per_bin == 0 and math.isnan(empty.mean)


def test_angles_go_the_short_way_round() -> None:
    got = angle_errors(np.array([[179.0, 10, -170], [0, 360, 90]]), np.array([[-179.0, 30, 170], [180, 0, -90]]))
    np.testing.assert_allclose(got, [[2, 20, 20], [180, 0, 180]])


def test_rotation_errors_by_hand_and_against_scipy() -> None:
    one = np.stack([rotation_from_angles(0, 0, 10), rotation_from_angles(30, 0, 0), np.eye(3)])
    other = np.stack([rotation_from_angles(0, 0, 25), rotation_from_angles(-40, 0, 0), rotation_from_angles(0, 180, 0)])
    np.testing.assert_allclose(rotation_errors(one, other), [15, 70, 180])
    np.testing.assert_allclose(rotation_errors(one, one), 0, atol=1e-6)
    transform = pytest.importorskip("scipy.spatial.transform", reason="SciPy comes with the extra train")
    rng = np.random.default_rng(8)
    first, second = (transform.Rotation.from_quat(rng.normal(size=(20, 4))) for _ in range(2))
    expected = np.degrees((first.inv() * second).magnitude())
    np.testing.assert_allclose(rotation_errors(first.as_matrix(), second.as_matrix()), expected)
