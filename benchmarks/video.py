"""Measure jitter, lag, errors and identity switches of tracking: ``python benchmarks/video.py``. Prints Markdown.

Uses synthetic clips with known motion (``jvcr.evaluate.motion``): the astronaut's face, 1280 × 720 at 30 frames per
second, ten seconds. The ground truth is the prediction on the photo, moved along. So the errors are those added by
motion, noise and filter.
"""

from __future__ import annotations

import math
import time

import numpy as np
from skimage.data import astronaut

from jvcr import Box, Landmarker
from jvcr.evaluate.motion import MovingFaces, Placement, identities_of, identity_switches, jitter, lag_s
from jvcr.video.track import TrackedFace, Tracker

TIMES = np.arange(0, 10, 1 / 30)


def still(time_s: float) -> Placement:
    return Placement(640, 360, 220)


def talking_head(time_s: float) -> Placement:
    """Slow swaying, nodding and approaching."""
    turn = 2 * math.pi * time_s
    return Placement(
        640 + 60 * math.sin(0.3 * turn),
        360 + 20 * math.sin(0.5 * turn),
        220 + 20 * math.sin(0.2 * turn),
        8 * math.sin(0.4 * turn),
        0.9 + 0.2 * math.sin(0.1 * turn),
    )


def dancing_head(time_s: float) -> Placement:
    """At most four face sizes per second, rotated by up to 25°."""
    turn = 2 * math.pi * time_s
    return Placement(640 + 200 * math.sin(0.7 * turn), 360, 220, 25 * math.sin(0.5 * turn))


def follow(tracker: Tracker, clip: MovingFaces) -> list[list[TrackedFace]]:
    return [tracker(clip.frame(float(time_s)), float(time_s)) for time_s in TIMES]


def main() -> None:
    photo = astronaut()
    points = Landmarker().predict(photo, [[179, 87, 269, 178]])[0].landmarks
    print(f"{time.strftime('%Y-%m-%d')}\n")
    print("| mirror | smooth | jitter at rest | error, slow | lag, slow | error, fast | lag, fast | lost frames |")
    print("|---|---|---|---|---|---|---|---|")
    for mirror in (False, True):
        landmarker = Landmarker(mirror=mirror)
        for smooth in (0.0, 0.25, 0.5, 0.75, 1.0):
            cells, lost = [], 0
            for path in (still, talking_head, dancing_head):
                clip = MovingFaces(photo, points, [path])
                seen = follow(Tracker(landmarker, smooth), clip)
                there = np.array([len(faces) == 1 for faces in seen])
                lost += int((~there).sum())
                found = np.stack([faces[0].face.landmarks for faces in seen if len(faces) == 1])
                true = np.stack([p for time_s in TIMES[there] if (p := clip.truth(float(time_s))[0]) is not None])
                if path is still:
                    cells.append(f"{100 * jitter(found):.3f} %")
                    continue
                sizes = np.array([max(b.width, b.height) for b in map(Box.around, true)])
                error = (np.linalg.norm((found - true)[..., :2], axis=2).mean(axis=1) / sizes).mean()
                cells += [f"{100 * error:.2f} %", f"{1000 * lag_s(found, true, TIMES[there]):.0f} ms"]
            print(f"| {'yes' if mirror else 'no'} | {smooth:g} | {' | '.join(cells)} | {lost} |")
    four = MovingFaces(
        photo,
        points,
        [
            lambda t, lane=lane: Placement(  # type: ignore[misc]
                640 + (-1) ** lane * 450 * math.cos(0.8 * t), 90 + 180 * lane, 120, 10 * math.sin(t)
            )
            for lane in range(4)
        ],
    )
    seen = follow(Tracker(Landmarker(mirror=False)), four)
    boxes = [[None if p is None else Box.around(p) for p in four.truth(float(time_s))] for time_s in TIMES]
    names = [
        identities_of(true, [(face.identity, face.face.box) for face in faces])
        for true, faces in zip(boxes, seen, strict=True)
    ]
    missed = sum(name is None for row in names for name in row)
    print(f"\nFour faces that pass each other: {identity_switches(names)} identity switches, ", end="")
    print(f"{missed} of {4 * len(TIMES)} not found")


if __name__ == "__main__":
    main()
