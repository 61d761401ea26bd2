"""Landmarks over time without jitter: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_SPEED_CUTOFF_HZ = 1.0


class OneEuro:
    """Low-pass filter of (N, 3) points: strong while they are still, weak while they move.

    The cutoff frequency is ``cutoff_hz + speed_gain · speed``; a point's speed is in face sizes a second, so that near
    and far faces are treated alike. One filter follows one face.

    Args:
        cutoff_hz: for a point at rest; lower is steadier and lags more at the start of a motion.
        speed_gain: Hz for each face size a second; higher lags less in motion.
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
        """The filtered points at ``time_s``. A time that does not grow starts anew.

        Args:
            points: (N, 3) pixels. size_px: of the face, for instance its box's longer side.
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
    """How much of the way to the new value is gone in one step."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s))


def smoother(strength: float) -> OneEuro | None:
    """The filter of ``--smooth``: 0 is none, 1 the steadiest. The trade of jitter against lag is in docs/video.md."""
    if not 0 <= strength <= 1:
        raise ValueError(f"smooth is {strength}; expected 0 (off) to 1")
    if strength == 0:
        return None
    # From 8 Hz, hardly a filter at 30 frames a second, to half a Hz.
    return OneEuro(cutoff_hz=8.0 * (0.5 / 8.0) ** strength, speed_gain=20.0 * (4.0 / 20.0) ** strength)
