"""Face tracking: periodic detection, following in between, an identity for each face, and smoothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box
from jvcr.images import Image
from jvcr.results import Face
from jvcr.video.smooth import OneEuro, smoother

_KEEP_SCORE = 0.2
"""Minimum score of a face that is already followed; lower than for a new face."""

_SAME_PLACE = 0.3
"""A detected face is a followed one if their IoU is at least this."""

_SAME_FACE = 0.5
"""Two tracks with a larger IoU follow the same face."""


class FrameLandmarker(Protocol):
    """The methods of a ``Landmarker`` that the tracker uses."""

    def find_more(self, image: Image, known: Sequence[Box]) -> list[Face]:
        """Detect the faces of a frame beside known ones."""
        ...

    def look_again(self, image: Image, landmarks: Sequence[NDArray[np.float32]]) -> list[Face | None]:
        """Follow the faces of the previous frame; None for one that has left the image."""
        ...


class ReadFrame(Protocol):
    """The fields of a frame that the tracker uses (``jvcr.video.files.VideoFrame``)."""

    @property
    def index(self) -> int:
        """Number of the frame, from 0."""
        ...

    @property
    def time_s(self) -> float:
        """Seconds since the first frame."""
        ...

    @property
    def image(self) -> Image:
        """(H, W, 3) uint8 RGB."""
        ...


class TrackedFace(NamedTuple):
    """identity: number that a face keeps unless it is lost for too long. face: with smoothed landmarks.
    raw: (N, 3) landmarks of this frame alone."""

    identity: int
    face: Face
    raw: NDArray[np.float32]


@dataclass(frozen=True)
class TrackedFrame:
    """index: from 0. time_s: since the first frame. image: (H, W, 3) uint8 RGB. faces: longest-tracked first."""

    index: int
    time_s: float
    image: Image
    faces: list[TrackedFace]


@dataclass
class _Track:
    identity: int
    face: Face
    filter: OneEuro | None
    seen_s: float
    smoothed: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.smoothed = self.face.landmarks

    def update(self, face: Face, time_s: float) -> None:
        self.face, self.seen_s = face, time_s
        size = max(face.box.width, face.box.height)
        self.smoothed = face.landmarks if self.filter is None else self.filter(face.landmarks, size, time_s)


class Tracker:
    """Follows the faces of one video. Not for several threads.

    A face of the previous frame is followed by one forward pass of the landmark network. The detector searches the
    whole frame at the start, when a face was lost, and every ``detect_every_s``.

    Args:
        landmarker: detects and follows faces.
        smooth: 0 gives each frame's own landmarks; up to 1, steadier landmarks with more lag (``jvcr.video.smooth``).
        detect_every_s: seconds between detections in the whole frame, which find new faces.
        forget_after_s: a face that is found again within this time, near where it was lost, keeps its identity.
        most_faces: track at most this many faces, the largest ones.
    """

    def __init__(
        self,
        landmarker: FrameLandmarker,
        smooth: float = 0.5,
        detect_every_s: float = 1.0,
        forget_after_s: float = 1.0,
        most_faces: int = 16,
    ) -> None:
        if min(detect_every_s, forget_after_s) < 0 or most_faces < 1:
            raise ValueError(
                f"detect_every_s is {detect_every_s}, forget_after_s {forget_after_s}, most_faces {most_faces}; "
                "expected 0 or more, 0 or more, and at least 1"
            )
        smoother(smooth)  # raises if out of range
        self._landmarker, self._smooth = landmarker, smooth
        self._detect_every_s, self._forget_after_s, self._most_faces = detect_every_s, forget_after_s, most_faces
        self._followed: list[_Track] = []
        self._lost: list[_Track] = []
        self._searched_s = -np.inf
        self._identities = 0
        self.searches = 0

    def __call__(self, image: Image, time_s: float) -> list[TrackedFace]:
        """The faces of the next frame, longest-tracked first.

        Args:
            image: (H, W, 3) uint8 RGB. time_s: of the frame; tracking restarts if it is earlier than the last one.
        """
        if time_s < max((t.seen_s for t in self._followed), default=-np.inf):
            self._followed, self._lost, self._searched_s = [], [], -np.inf
        self._follow(image, time_s)
        self._lost = [track for track in self._lost if time_s - track.seen_s <= self._forget_after_s]
        if not self._followed or self._lost or time_s - self._searched_s >= self._detect_every_s:
            self._search(image, time_s)
        return [
            TrackedFace(t.identity, replace(t.face, landmarks=t.smoothed, box=Box.around(t.smoothed)), t.face.landmarks)
            for t in self._followed
        ]

    def frame(self, frame: ReadFrame) -> TrackedFrame:
        """Call the tracker on a frame of a video reader."""
        return TrackedFrame(frame.index, frame.time_s, frame.image, self(frame.image, frame.time_s))

    def _follow(self, image: Image, time_s: float) -> None:
        faces = self._landmarker.look_again(image, [track.face.landmarks for track in self._followed])
        kept: list[_Track] = []
        for track, face in zip(self._followed, faces, strict=True):
            if face is not None and face.score >= _KEEP_SCORE and _plausible(track.face.box, face.box):
                if all(face.box.iou(other.face.box) <= _SAME_FACE for other in kept):
                    track.update(face, time_s)
                    kept.append(track)
                continue
            self._lost.append(track)
        self._followed = kept

    def _search(self, image: Image, time_s: float) -> None:
        self.searches += 1
        self._searched_s = time_s
        found = self._landmarker.find_more(image, [track.face.box for track in self._followed])
        for face in sorted(found, key=lambda f: -f.box.width * f.box.height):
            if any(face.box.iou(track.face.box) >= _SAME_PLACE for track in self._followed):
                continue
            if len(self._followed) >= self._most_faces:
                break
            track = self._known(face) or self._new(face, time_s)
            track.update(face, time_s)
            self._followed.append(track)
        self._followed.sort(key=lambda track: track.identity)

    def _known(self, face: Face) -> _Track | None:
        """The nearest lost track within one face size; None if there is none."""
        size = max(face.box.width, face.box.height)
        near = [
            (float(np.hypot(*np.subtract(track.face.box.centre, face.box.centre))), index)
            for index, track in enumerate(self._lost)
        ]
        if near and min(near)[0] < size:
            return self._lost.pop(min(near)[1])
        return None

    def _new(self, face: Face, time_s: float) -> _Track:
        self._identities += 1
        return _Track(self._identities, face, smoother(self._smooth), time_s)


def _plausible(before: Box, now: Box) -> bool:
    """Whether the motion is plausible: between frames, a face does not double in size or move by more than its size."""
    sizes = [max(box.width, box.height) for box in (before, now)]
    jump = float(np.hypot(*np.subtract(before.centre, now.centre)))
    return 0.6 < sizes[1] / sizes[0] < 1.7 and jump < max(sizes)
