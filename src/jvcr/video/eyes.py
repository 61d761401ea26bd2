"""Blinks, long closures and PERCLOS of every face that is followed through a video (``jvcr.video.blinks``)."""

from __future__ import annotations

import math
from typing import Any

from jvcr.expression import expression
from jvcr.video.blinks import EyeLimits, EyeState, EyeSummary, EyeWatch
from jvcr.video.track import TrackedFace, TrackedFrame

MAX_YAW_DEG = 45.0
"""Beyond this yaw the eyes are unknown: their openings are unreliable (docs/expression.md)."""


class EyesOfFaces:
    """Follows the eyes of all faces of a video, by identity. Faces of other markups than the 68 points are left out.

    The openings come from each frame's own landmarks (``TrackedFace.raw``), because the filter of the landmarks is too
    slow for blinks.

    Args:
        limits: what counts as closed, and for how long.
        max_yaw_deg: the eyes of a face that is turned further, to either side, are unknown.
    Raises:
        ValueError: ``max_yaw_deg`` is not in 0…90.

    Example::

        eyes = EyesOfFaces()
        for frame in landmarker.track("film.mp4"):
            states = eyes(frame)
        for identity, summary in eyes.summaries().items():
            print(identity, len(summary.blinks), summary.perclos)
    """

    def __init__(self, limits: EyeLimits | None = None, max_yaw_deg: float = MAX_YAW_DEG) -> None:
        if not 0 < max_yaw_deg <= 90:
            raise ValueError(f"max_yaw_deg is {max_yaw_deg}; expected more than 0, up to 90")
        self.limits, self.max_yaw_deg = limits or EyeLimits(), max_yaw_deg
        self._watches: dict[int, EyeWatch] = {}
        self._seen_s: dict[int, float] = {}

    def __call__(self, frame: TrackedFrame) -> dict[int, EyeState]:
        """The state of the eyes of the next frame's faces, by identity.

        Raises:
            ValueError: the frame is earlier than the last one.
        """
        faces = [tracked for tracked in frame.faces if tracked.face.has_expression]
        return {tracked.identity: self._add(tracked, frame.time_s) for tracked in faces}

    def _add(self, tracked: TrackedFace, time_s: float) -> EyeState:
        identity = tracked.identity
        if identity not in self._watches:
            self._watches[identity] = EyeWatch(self.limits)
            self._release(time_s)
        self._seen_s[identity] = time_s
        if abs(tracked.face.pose.yaw_deg) > self.max_yaw_deg:
            return self._watches[identity].add(time_s, math.nan, math.nan)
        found = expression(tracked.raw)
        return self._watches[identity].add(time_s, found.eye_right, found.eye_left)

    def _release(self, time_s: float) -> None:
        """Free the memory of faces that are gone, or a stream that shows thousands of them would fill it."""
        for identity, seen_s in list(self._seen_s.items()):
            if time_s - seen_s > self.limits.level_s:
                self._watches[identity].release()
                del self._seen_s[identity]

    def summaries(self) -> dict[int, EyeSummary]:
        """What was seen of each face up to now, by identity."""
        return {identity: watch.summary() for identity, watch in self._watches.items()}

    def to_dict(self) -> dict[str, Any]:
        """Limits and summaries as plain lists and numbers: the file of ``jvcr video --eyes``."""
        return {
            "limits": {**vars(self.limits), "max_yaw_deg": self.max_yaw_deg},
            "faces": [{"id": identity, **summary.to_dict()} for identity, summary in self.summaries().items()],
        }
