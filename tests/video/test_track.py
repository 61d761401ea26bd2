"""Following faces through clips whose motion is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr import Box, Face, Landmarker
from jvcr.evaluate.motion import MovingFaces, Placement, identities_of, identity_switches, jitter, lag_s
from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.video.track import TrackedFace, Tracker

TIMES = np.arange(45) / 30

MakeClip = Callable[..., MovingFaces]


def still(time_s: float) -> Placement:
    return Placement(240, 135, 100)


def swaying(time_s: float) -> Placement:
    phase = 2 * math.pi * 0.5 * time_s
    return Placement(240 + 60 * math.sin(phase), 135, 90 + 15 * math.sin(0.7 * phase), 20 * math.sin(phase), 0.9)


def followed(tracker: Tracker, clip: MovingFaces, times: np.ndarray = TIMES) -> list[list[TrackedFace]]:
    return [tracker(clip.frame(float(time)), float(time)) for time in times]


def names(clip: MovingFaces, seen: list[list[TrackedFace]], times: np.ndarray = TIMES) -> list[list[int | None]]:
    true = [[None if p is None else Box.around(p) for p in clip.truth(float(time))] for time in times]
    return [
        identities_of(boxes, [(face.identity, face.face.box) for face in faces])
        for boxes, faces in zip(true, seen, strict=True)
    ]


def test_a_moving_face_is_followed_closely(tracking: Landmarker, faces_on: MakeClip) -> None:
    clip, tracker = faces_on(swaying), Tracker(tracking, smooth=0.5)
    seen = followed(tracker, clip)
    assert [len(faces) for faces in seen] == [1] * len(TIMES)
    assert {faces[0].identity for faces in seen} == {1}
    found = np.stack([faces[0].face.landmarks for faces in seen])
    true = np.stack([clip.truth(float(time))[0] for time in TIMES])
    assert np.linalg.norm((found - true)[..., :2], axis=2).mean() < 0.04 * 90
    # At the start, and once a second.
    assert tracker.searches == 2


def test_the_filter_trades_jitter_for_lag(tracking: Landmarker, faces_on: MakeClip) -> None:
    at_rest, in_motion = faces_on(still), faces_on(swaying)
    shaking, late = [], []
    for smooth in (0.0, 0.5, 1.0):
        seen = followed(Tracker(tracking, smooth), at_rest)
        shaking.append(jitter(np.stack([faces[0].face.landmarks for faces in seen])))
        seen = followed(Tracker(tracking, smooth), in_motion)
        true = np.stack([in_motion.truth(float(time))[0] for time in TIMES])
        late.append(lag_s(np.stack([faces[0].face.landmarks for faces in seen]), true, TIMES))
    assert shaking[1] < shaking[0] / 2
    assert shaking[2] < shaking[1]
    assert abs(late[0]) < 0.005
    assert late[0] < late[1] < late[2] < 0.05


def test_without_smoothing_each_frame_speaks_for_itself(tracking: Landmarker, faces_on: MakeClip) -> None:
    for faces in followed(Tracker(tracking, smooth=0), faces_on(swaying), TIMES[:5]):
        assert (faces[0].face.landmarks == faces[0].raw).all()


def test_two_faces_keep_their_identities(tracking: Landmarker, faces_on: MakeClip) -> None:
    # They pass each other, one above the other.
    clip = faces_on(
        lambda t: Placement(120 + 160 * t, 75, 80),
        lambda t: Placement(360 - 160 * t, 195, 80),
    )
    seen = followed(Tracker(tracking), clip)
    assert all(len(faces) == 2 for faces in seen)
    assert identity_switches(names(clip, seen)) == 0


def test_a_face_that_is_back_soon_keeps_its_identity(tracking: Landmarker, faces_on: MakeClip) -> None:
    clip = faces_on(lambda t: None if 0.5 < t < 0.8 else Placement(240, 135, 100))
    seen = followed(Tracker(tracking, forget_after_s=1.0), clip)
    found = [len(faces) for faces in seen]
    assert found[10] == found[-1] == 1
    assert found[20] == 0
    assert seen[-1][0].identity == seen[0][0].identity == 1


def test_a_face_that_is_back_late_is_another(tracking: Landmarker, faces_on: MakeClip) -> None:
    clip = faces_on(lambda t: None if 0.5 < t < 1.2 else Placement(240, 135, 100))
    seen = followed(Tracker(tracking, forget_after_s=0.3), clip)
    assert seen[-1][0].identity == 2


def test_who_comes_in_is_found_within_the_interval(tracking: Landmarker, faces_on: MakeClip) -> None:
    clip = faces_on(
        lambda t: Placement(120, 135, 90),
        lambda t: Placement(360, 135, 90) if t > 0.3 else None,
    )
    counts = [len(faces) for faces in followed(Tracker(tracking, detect_every_s=0.5), clip)]
    assert counts[:9] == [1] * 9
    assert counts[16:] == [2] * len(counts[16:])


def test_no_more_faces_than_asked(tracking: Landmarker, faces_on: MakeClip) -> None:
    clip = faces_on(lambda t: Placement(120, 135, 70), lambda t: Placement(340, 135, 110))
    faces = Tracker(tracking, most_faces=1)(clip.frame(0.0), 0.0)
    assert len(faces) == 1
    assert faces[0].face.box.centre[0] > 240


def test_time_that_goes_back_starts_anew(tracking: Landmarker, faces_on: MakeClip) -> None:
    clip, tracker = faces_on(still), Tracker(tracking)
    first = tracker(clip.frame(0.0), 7.0)
    again = tracker(clip.frame(0.0), 0.0)
    assert first[0].identity != again[0].identity
    assert (again[0].face.landmarks == again[0].raw).all()


def test_empty_frames_are_no_error(tracking: Landmarker) -> None:
    tracker = Tracker(tracking)
    for time in (0.0, 0.1):
        assert tracker(np.full((120, 160, 3), 128, np.uint8), time) == []


@pytest.mark.parametrize("settings", [{"smooth": 2.0}, {"detect_every_s": -1.0}, {"most_faces": 0}])
def test_settings_out_of_bounds_are_refused(tracking: Landmarker, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Tracker(tracking, **settings)  # type: ignore[arg-type]


FOUR = Markup("four", 4, (1, 0, 3, 2), {}, frozenset(), (0, 1))
FRAME = np.zeros((400, 600, 3), np.uint8)


def face_at(x: float, y: float = 200.0, size: float = 100.0, score: float = 0.9) -> Face:
    """A face of four landmarks, the corners of a square around (x, y)."""
    half = size / 2
    corners = np.array(
        [[x - half, y - half, 0], [x + half, y - half, 0], [x - half, y + half, 0], [x + half, y + half, 0]]
    )
    return Face(corners.astype(np.float32), Box.around(corners), score, markup=FOUR)


class Scripted:
    """Finds one face at the start; the next prediction is given by the test; later searches find nothing."""

    def __init__(self, first: Face, seen: Face | None) -> None:
        self.first, self.seen, self.searches = first, seen, 0

    def find_more(self, image: Image, known: Sequence[Box]) -> list[Face]:
        self.searches += 1
        return [self.first] if self.searches == 1 else []

    def look_again(self, image: Image, landmarks: Sequence[NDArray[np.float32]]) -> list[Face | None]:
        return [self.seen] * len(landmarks)


def is_followed(seen: Face | None) -> bool:
    """Whether the face of the second frame is matched to that of the first, at (200, 200), 100 pixels large."""
    landmarker = Scripted(face_at(200), seen)
    tracker = Tracker(landmarker, smooth=0, detect_every_s=10)
    assert len(tracker(FRAME, 0.0)) == 1
    faces = tracker(FRAME, 0.04)
    # A lost face is searched for at once.
    assert landmarker.searches == (1 if faces else 2)
    return len(faces) == 1


@pytest.mark.parametrize(("score", "expected"), [(0.05, False), (0.15, False), (0.25, True), (0.45, True)])
def test_a_followed_face_is_believed_longer_than_a_new_one(score: float, expected: bool) -> None:
    assert is_followed(face_at(205, score=score)) is expected


@pytest.mark.parametrize(
    ("size", "expected"), [(50, False), (58, False), (62, True), (165, True), (175, False), (300, False)]
)
def test_a_face_does_not_double_its_size_from_frame_to_frame(size: float, expected: bool) -> None:
    assert is_followed(face_at(200, size=size)) is expected


@pytest.mark.parametrize(("jump", "expected"), [(95, True), (105, False), (250, False)])
def test_a_face_does_not_jump_by_more_than_its_size(jump: float, expected: bool) -> None:
    assert is_followed(face_at(200 + jump)) is expected
    assert is_followed(face_at(200, 200 - jump)) is expected


def test_a_face_that_has_left_is_not_followed() -> None:
    assert not is_followed(None)


@pytest.mark.parametrize(("apart", "expected"), [(20, 1), (30, 1), (36, 2), (60, 2)])
def test_two_faces_that_run_together_become_one(apart: float, expected: int) -> None:
    # Squares of 100: 80 / 120 = 0.67, 70 / 130 = 0.54, 64 / 136 = 0.47, 40 / 160 = 0.25.
    class Two(Scripted):
        def find_more(self, image: Image, known: Sequence[Box]) -> list[Face]:
            self.searches += 1
            return [face_at(150), face_at(260)] if self.searches == 1 else []

        def look_again(self, image: Image, landmarks: Sequence[NDArray[np.float32]]) -> list[Face | None]:
            return [face_at(200), face_at(200 + apart)][: len(landmarks)]

    tracker = Tracker(Two(face_at(0), None), smooth=0, detect_every_s=10)
    assert len(tracker(FRAME, 0.0)) == 2
    assert [face.identity for face in tracker(FRAME, 0.04)] == [1, 2][:expected]
