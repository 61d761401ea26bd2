from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from jvcr import volume
from jvcr.frames import unit_to_vox, vox_to_unit
from jvcr.train.targets import rasterise

SHAPES = [(3, 7, 11), (1, 9, 5), (2, 16, 12), (13, 6, 4)]


def unit(points_vox: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.from_numpy(vox_to_unit(np.asarray(points_vox, np.float32), shape))


@pytest.mark.parametrize("sigma_vox", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference_on_random_points(shape: tuple[int, int, int], sigma_vox: float) -> None:
    # A third of the points lies outside, in the plane and in depth.
    points_unit = np.random.default_rng(sum(shape)).uniform(-0.3, 1.3, (4, 6, 3)).astype(np.float32)
    got = rasterise(torch.from_numpy(points_unit), shape, sigma_vox)
    assert got.shape == (4, *shape) and got.dtype == torch.float32
    for b in range(4):
        expected = volume.rasterise(unit_to_vox(points_unit[b], shape), shape, sigma_vox)
        np.testing.assert_allclose(got[b].numpy(), expected, atol=2e-6)


def test_one_landmark_a_row_by_hand() -> None:
    shape = (3, 7, 11)
    got = rasterise(unit([[[4, 2, 1]], [[9, 5, 0]]], shape), shape)
    assert got[0].argmax() == (1 * 7 + 2) * 11 + 4
    assert got[1].argmax() == (0 * 7 + 5) * 11 + 9
    assert got[0].max() == pytest.approx(1, abs=1e-5)
    assert got[0, 1, 2, 5] == pytest.approx(np.exp(-0.5), abs=1e-5)
    assert got[0, 1, 2, 8] == 0


def test_maximum_over_landmarks_not_sum() -> None:
    shape = (3, 7, 11)
    got = rasterise(unit([[[4, 2, 1], [6, 2, 1], [4, 2, 1]]], shape), shape)
    assert got[0, 1, 2, 5] == pytest.approx(np.exp(-0.5), abs=1e-5)
    assert got.max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_wraps_around(shape: tuple[int, int, int]) -> None:
    depth, height, width = shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2, (depth - 1) / 2])
    for axis, extent in enumerate((width, height, depth)):
        for beyond in (-1.0, extent):
            point = middle.copy()
            point[axis] = beyond
            got = rasterise(unit(point[None, None], shape), shape)[0].numpy()
            np.testing.assert_allclose(got, volume.rasterise(point[None], shape), atol=2e-6)
            # Only one end is lit: the far one is more than 3 voxels away, if there is room for that.
            far = np.take(got, extent - 1 if beyond < 0 else 0, axis=2 - axis)
            assert extent < 5 or far.max() == 0


@pytest.mark.parametrize("value", [-10.0, 10.0, 1e9, -1e9])
def test_far_away_points_leave_the_volume_empty(value: float) -> None:
    for axis in range(3):
        points = torch.full((2, 5, 3), 0.5)
        points[..., axis] = value
        assert rasterise(points, (4, 7, 11)).max() == 0


N_POINTS = [21, 68, 200]


def test_the_volume_is_of_one_size_whatever_the_number_of_landmarks() -> None:
    volumes = [rasterise(torch.rand(3, n, 3), (5, 7, 11)) for n in N_POINTS]
    assert [v.shape for v in volumes] == [(3, 5, 7, 11)] * 3
    # 3 rows of 5·7·11 floats of 4 bytes.
    assert [v.untyped_storage().nbytes() for v in volumes] == [3 * 385 * 4] * 3


def test_many_landmarks_are_drawn_in_parts() -> None:
    points = torch.from_numpy(np.random.default_rng(5).uniform(-0.1, 1.1, (2, 200, 3)).astype(np.float32))
    got = rasterise(points, (6, 9, 13)).numpy()
    for row, expected_of in zip(got, points.numpy(), strict=True):
        expected = volume.rasterise(unit_to_vox(expected_of, (6, 9, 13)), (6, 9, 13))
        np.testing.assert_allclose(row, expected, atol=2e-6)


def test_memory_of_drawing_does_not_grow_with_the_landmarks() -> None:
    def peak(n_points: int) -> int:
        points = torch.rand(4, n_points, 3)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
            rasterise(points, (8, 8, 8))
        # Events are in order of time; each says how much was allocated, or, if negative, given back.
        changes = [e.nbytes() for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
        assert changes
        return int(np.cumsum(changes).max())

    few, many = peak(68), peak(680)
    assert few > 4 * 34 * 343 * 8  # the patches of one part: an index of 8 bytes a voxel, at least
    assert many == few
