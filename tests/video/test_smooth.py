"""The One-Euro filter."""

from __future__ import annotations

import numpy as np
import pytest

from jvcr.video.smooth import OneEuro, smoother

TIMES = np.arange(90) / 30


def filtered(points: np.ndarray, strength: float) -> np.ndarray:
    filter_ = smoother(strength)
    assert filter_ is not None
    return np.stack([filter_(frame, 100.0, float(time)) for frame, time in zip(points, TIMES, strict=True)])


def test_off_is_no_filter() -> None:
    assert smoother(0) is None


@pytest.mark.parametrize("strength", [-0.1, 1.5])
def test_other_strengths_are_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="0 \\(off\\) to 1"):
        smoother(strength)


def test_the_stronger_the_steadier() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (90, 5, 3))
    spread = [filtered(noise, strength)[30:].std() for strength in (0.25, 0.5, 1.0)]
    assert spread[0] < 0.7
    assert spread[2] < 0.4
    assert spread == sorted(spread, reverse=True)


def test_fast_motion_is_followed_closely() -> None:
    # Two face sizes a second.
    moving = np.zeros((90, 5, 3))
    moving[:, :, 0] = 200 * TIMES[:, None]
    behind_px = moving[60:, :, 0] - filtered(moving, 0.5)[60:, :, 0]
    assert behind_px.max() < 200 * 0.03


def test_it_is_the_published_filter() -> None:
    """One coordinate against the formulas of the paper, step by step."""
    values, size, cutoff, gain = [3.0, 5.0, 4.0, 9.0], 10.0, 1.5, 2.0
    filter_ = OneEuro(cutoff, gain)
    kept, slope = values[0], 0.0

    def alpha(hz: float) -> float:
        return 1 / (1 + 30 / (2 * np.pi * hz))

    for index, value in enumerate(values):
        out = filter_(np.array([[value, 0, 0]]), size, index / 30)[0, 0]
        if index:
            slope += alpha(1.0) * ((value - kept) * 30 / size - slope)
            kept += alpha(cutoff + gain * abs(slope)) * (value - kept)
        assert out == pytest.approx(kept, rel=1e-6)


def test_it_begins_anew_when_time_goes_back() -> None:
    filter_ = OneEuro(1.0, 0.0)
    filter_(np.zeros((2, 3)), 1.0, 5.0)
    assert filter_(np.ones((2, 3)), 1.0, 4.0).tolist() == np.ones((2, 3)).tolist()
