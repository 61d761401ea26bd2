from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr.volume import rasterise, sample, sample_cells, unfolded


def test_one_landmark_by_hand() -> None:
    volume = rasterise(np.array([[4.0, 2, 1]]), (3, 7, 11))
    assert volume.dtype == np.float32
    assert volume.argmax() == (1 * 7 + 2) * 11 + 4
    assert volume[1, 2, 4] == 1
    # One step along x, y, z, a diagonal in the plane, three along x; four are beyond 3σ.
    assert [volume[1, 2, 5], volume[1, 3, 4], volume[0, 2, 4]] == pytest.approx([np.exp(-0.5)] * 3)
    assert volume[1, 3, 5] == pytest.approx(np.exp(-1.0))
    assert volume[1, 2, 7] == pytest.approx(np.exp(-4.5))
    assert volume[1, 2, 8] == 0


def test_fractions_and_sigma_count() -> None:
    volume = rasterise(np.array([[4.25, 2, 1]]), (3, 7, 11), sigma_vox=2)
    assert volume[1, 2, 4] == pytest.approx(np.exp(-(0.25**2) / 8))
    assert volume[1, 2, 5] == pytest.approx(np.exp(-(0.75**2) / 8))


def test_maximum_over_landmarks_not_sum() -> None:
    volume = rasterise(np.array([[4.0, 2, 1], [6.0, 2, 1]]), (3, 7, 11))
    assert volume[1, 2, 5] == pytest.approx(np.exp(-0.5))
    assert volume.max() == 1


def test_points_outside_reach_in_or_vanish_and_never_wrap() -> None:
    shape = (3, 7, 11)
    volume = rasterise(np.array([[-2.0, 3, 1]]), shape)
    assert volume[1, 3, 0] == pytest.approx(np.exp(-2.0))
    assert volume[1, 3, 2] == 0 and volume[:, :, 5:].max() == 0
    for far in ([-5.0, 3, 1], [15.0, 3, 1], [5, -5.0, 1], [5, 11.0, 1], [5, 3, -5.0], [5, 3, 7.0]):
        assert rasterise(np.array([far]), shape).max() == 0


def test_sample_by_hand() -> None:
    volumes = np.zeros((2, 3, 7, 11), np.float32)
    volumes[0, 1, 2, 4] = 8
    volumes[1, 2, 6, 10] = 4
    points = np.array(
        [
            [[4.0, 2, 1], [4.5, 2, 1], [4.25, 2.5, 1.5], [10, 6, 2]],
            [[4.0, 2, 1], [10.5, 6, 2], [10, 6.5, 2.5], [11, 6, 2]],
        ]
    )
    # Row 0: on the voxel, half of it, 0.75 · 0.5 · 0.5 of it. Row 1: what lies outside is 0.
    np.testing.assert_allclose(sample(volumes, points), [[8, 4, 1.5, 0], [0, 2, 1, 0]])


@given(st.floats(0, 10), st.floats(0, 6), st.floats(0, 2))
def test_sample_is_exact_on_a_trilinear_function(x: float, y: float, z: float) -> None:
    k, j, i = np.mgrid[0:3, 0:7, 0:11]
    volume = (2 * i + 30 * j - 5 * k + i * j).astype(np.float32)
    got = sample(volume[None], np.array([[[x, y, z]]]))
    assert got.shape == (1, 1)
    np.testing.assert_allclose(got[0, 0], 2 * x + 30 * y - 5 * z + x * y, rtol=1e-5, atol=1e-4)


def test_a_volume_in_cells_is_read_like_the_volume() -> None:
    rng = np.random.default_rng(0)
    cells = rng.random((2, 3, 2, 2, 4, 5), np.float32)
    volume = unfolded(cells)
    assert volume.shape == (2, 3, 8, 10)
    assert volume[1, 2, 5, 6] == cells[1, 2, 1, 0, 2, 3]
    assert np.array_equal(unfolded(cells[1]), volume[1])
    points = rng.uniform(-2, 11, (2, 40, 3))
    assert np.array_equal(sample_cells(cells, points), sample(volume, points))
