"""Landmarks over time without jitter: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_SPEED_CUTOFF_HZ = 1.0


class OneEuro:
    """Low-pass filter of (N, 3) points: strong while they are still, weak while they move.

    The cutoff frequency is ``cutoff_hz + speed_gain · speed``; a point's speed is in face sizes per second, so near and
    far faces are treated alike. One filter follows one face.

    Args:
        cutoff_hz: for a point at rest; lower is steadier and lags more at the start of a motion.
        speed_gain: Hz per face size per second; a higher value lags less in motion.
    """

    def __init__(self, cutoff_hz: float, speed_gain: float) -> None:
        if cutoff_hz <= 0 or speed_gain < 0:
            raise ValueError(
                f"cutoff is {cutoff_hz} Hz and speed gain {speed_gain}; expected more than 0, and 0 or more"
            )
        self._cutoff_hz, self._speed_gain = cutoff_hz, speed_gain
        self._points: NDArray[np.float64] | None = None
        self._velocity: NDArray[np.float64] | None = None
        self._time_s = 0.0

    def __call__(self, points: NDArray[np.floating], size_px: float, time_s: float) -> NDArray[np.float32]:
        """The filtered points at ``time_s``. The filter restarts if time does not increase.

        Args:
            points: (N, 3) pixels. size_px: size of the face, for instance its box's longer side.
        """
        now = points.astype(np.float64)
        step = time_s - self._time_s
        if self._points is None or self._velocity is None or step <= 0:
            self._points, self._velocity = now, np.zeros_like(now)
        else:
            velocity = (now - self._points) / (step * size_px)
            self._velocity += _share(_SPEED_CUTOFF_HZ, step) * (velocity - self._velocity)
            speed = np.linalg.norm(self._velocity, axis=1, keepdims=True)
            self._points = self._points + _share(self._cutoff_hz + self._speed_gain * speed, step) * (
                now - self._points
            )
        self._time_s = time_s
        return self._points.astype(np.float32)


def _share(cutoff_hz: NDArray[np.float64] | float, step_s: float) -> NDArray[np.float64] | float:
    """Weight of the new value in one step, 0…1."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s))


def smoother(strength: float) -> OneEuro | None:
    """The filter of ``--smooth``: 0 is off, 1 the steadiest. docs/video.md has the trade-off of jitter against lag."""
    if not 0 <= strength <= 1:
        raise ValueError(f"smooth is {strength}; expected 0 (off) to 1")
    if strength == 0:
        return None
    # From 8 Hz, hardly any filtering at 30 frames/s, to 0.5 Hz.
    return OneEuro(cutoff_hz=8.0 * (0.5 / 8.0) ** strength, speed_gain=20.0 * (4.0 / 20.0) ** strength)
