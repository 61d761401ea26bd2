"""The astronaut blinks: her lids are pulled down at known times, and the network sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr import Box, Face, Landmarker
from jvcr.cli.app import app
from jvcr.evaluate.motion import MovingFaces, Placement
from jvcr.expression import eye_openings
from jvcr.images import Image
from jvcr.markups.file import markup_from
from jvcr.video.blinks import EyeLimits
from jvcr.video.eyes import EyesOfFaces
from jvcr.video.track import TrackedFace, TrackedFrame

RATE = 30.0
END_S = 2.5
BLINK, SLEEP = (0.7, 0.9), (1.4, 2.1)
"""From half closed to half open."""
LID_S = 0.05
"""Time of half the lid's way."""


def lid(image: Image, points: NDArray[np.float32], first: int, brow: int, closed: float) -> Image:
    """Pull the skin between brow and eye down over one eye, whose landmarks start at ``first``.

    Args:
        closed: 0 leaves it open, 1 shuts it.
    """
    if closed <= 0:
        return image
    height, width = image.shape[:2]
    eye = points[first : first + 6, :2]

    def line(corners: NDArray[np.float32]) -> NDArray[np.float64]:
        ordered = corners[np.argsort(corners[:, 0])]
        return np.interp(np.arange(width), ordered[:, 0], ordered[:, 1])

    # Lashes are above the landmarks of the lid, and the lower lid's edge below.
    top, bottom, above = line(eye[:4]) - 1.5, line(eye[[0, 5, 4, 3]]) + 0.8, line(points[brow : brow + 5, :2]) + 2
    edge = top + closed * (bottom - top)
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    inside = (columns >= eye[:, 0].min() - 1) & (columns <= eye[:, 0].max() + 1)
    stretched = above + (rows - above) * (top - above) / np.maximum(edge - above, 1e-3)
    source = np.where(inside & (rows >= above) & (rows < edge), stretched, rows).astype(np.float32)
    pulled = cv2.remap(image, columns, source, cv2.INTER_LINEAR)
    mask = (inside & (rows >= above - 1) & (rows <= bottom + 1)).astype(np.float32)
    weight = cv2.GaussianBlur(mask, (0, 0), 0.7)[:, :, None]
    shown = np.asarray((weight * pulled + (1 - weight) * image).astype(np.uint8))
    if closed > 0.8:
        lashes = np.column_stack([np.arange(width), edge])[inside[0]]
        cv2.polylines(shown, [np.round(16 * lashes).astype(np.int32)], False, (60, 35, 30), 1, cv2.LINE_AA, 4)
    return shown


def closed_at(time_s: float, *closures: tuple[float, float]) -> float:
    """0 open, 1 shut."""
    inside = [min(time_s - start_s, end_s - time_s) for start_s, end_s in closures]
    return float(np.clip(0.5 + max(inside) / (2 * LID_S), 0, 1))


@pytest.fixture(scope="module")
def with_lids(tracking: Landmarker) -> Callable[[float], Image]:
    """How far her eyes are closed, 0 to 1 → the photo."""
    photo = astronaut()
    points = tracking.predict(photo, [[179, 87, 269, 178]])[0].landmarks

    @cache
    def at(closed: float) -> Image:
        return lid(lid(photo, points, 36, 17, closed), points, 42, 22, closed)

    return lambda closed: at(round(closed, 1))


@pytest.fixture(scope="module")
def clip(with_lids: Callable[[float], Image], faces_on: Callable[..., MovingFaces]) -> Callable[[float], Image]:
    """Time → frame: she sways, and blinks."""
    still = faces_on(lambda t: Placement(240 + 20 * np.sin(2 * t), 135, 130, 5 * np.sin(3 * t)))

    def frame(time_s: float) -> Image:
        return replace(still, photo=with_lids(closed_at(time_s, BLINK, SLEEP))).frame(time_s)

    return frame


def test_the_network_sees_the_lids_come_down(tracking: Landmarker, with_lids: Callable[[float], Image]) -> None:
    """Otherwise the other tests of this file would prove nothing."""
    ratios = []
    for closed in (0.0, 0.5, 0.75, 1.0):
        (face,) = tracking.predict(with_lids(closed), [[179, 87, 269, 178]])
        ratios.append(eye_openings(face.landmarks))
    assert (np.diff(np.stack(ratios), axis=0) < 0).all()
    assert (ratios[0] > 0.28).all() and (ratios[-1] < 0.15).all()


@pytest.fixture(scope="module")
def film(clip: Callable[[float], Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    av: Any = pytest.importorskip("av", reason="PyAV is not installed (extra: video)")
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = 480, 270, "yuv420p"
        for number in range(round(END_S * RATE)):
            frame = av.VideoFrame.from_ndarray(clip(number / RATE), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_the_command_writes_blinks(film: Path, tmp_path: Path) -> None:
    out, lines = tmp_path / "new" / "eyes.json", tmp_path / "lines.jsonl"
    command = ["video", str(film), "--eyes", str(out), "--json", str(lines), "--threads", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = json.loads(out.read_text(encoding="utf-8"))
    (face,) = found["faces"]
    assert face["id"] == 1 and found["limits"]["closed"] == 0.2 and found["limits"]["max_yaw_deg"] == 45
    (blink,), (sleep,) = face["blinks"], face["long_closures"]
    # A frame, and the time constant of the filter.
    assert (blink["start_s"], blink["end_s"]) == pytest.approx(BLINK, abs=0.055)
    assert (sleep["start_s"], sleep["end_s"]) == pytest.approx(SLEEP, abs=0.055)
    assert blink["eyes"] == sleep["eyes"] == "both"
    shut = np.mean([closed_at(t, BLINK, SLEEP) >= 0.8 for t in np.arange(0, END_S, 0.001)])
    assert face["perclos"] == pytest.approx(shut, abs=0.04)
    assert face["unknown_s"] == 0 and face["frames_per_s"] == pytest.approx(RATE)
    assert re.search(r"face 1: 1 blink, 1 over 0.5 s \(longest 0\.[67] s\), PERCLOS 2\d\.\d %", done.output)
    assert str(out) in done.output.replace("\n", "")
    records = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    eyes = [record["faces"][0]["eyes"] for record in records]
    assert eyes[0] == {"right": 1.0, "left": 1.0, "closed": False, "perclos": None}
    assert all(eyes[round(RATE * t)]["closed"] for t in (0.8, 1.6, 1.8, 2.0))
    assert not any(eyes[round(RATE * t)]["closed"] for t in (0.5, 1.1, 2.3))
    assert eyes[-1]["perclos"] == pytest.approx(face["perclos"], abs=2e-3)
    # A second run does not replace it.
    again = CliRunner().invoke(app, command[:4])
    assert again.exit_code != 0 and "already exists" in str(again.exception)
    assert json.loads(out.read_text(encoding="utf-8")) == found


def test_without_the_option_records_have_no_eyes(film: Path) -> None:
    done = CliRunner().invoke(app, ["video", str(film), "--json", "-", "--seconds", "0.1", "--threads", "1"])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert "eyes" not in json.loads(done.stdout.splitlines()[0])["faces"][0]


def test_eyes_of_other_markups_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = SimpleNamespace(markup=markup_from("66"))
    monkeypatch.setattr("jvcr.cli.video.chosen_landmarker", lambda *arguments, **options: others)
    done = CliRunner().invoke(app, ["video", "film.mp4", "--eyes", str(tmp_path / "eyes.json")])
    assert done.exit_code != 0 and "--eyes needs weights with the landmarks 'ibug-68'" in str(done.exception)
    assert not list(tmp_path.iterdir())


MakeHead = Callable[..., NDArray[np.float32]]


def frame_of(time_s: float, *faces: tuple[int, Face]) -> TrackedFrame:
    tracked = [TrackedFace(identity, face, face.landmarks) for identity, face in faces]
    return TrackedFrame(0, time_s, np.zeros((90, 100, 3), np.uint8), tracked)


def face_of(points: NDArray[np.float32]) -> Face:
    return Face(points, Box.around(points), 0.9)


@pytest.mark.parametrize(("yaw", "known"), [(40, True), (-40, True), (50, False), (-50, False)])
def test_turned_faces_are_unknown(make_head: MakeHead, yaw: float, known: bool) -> None:
    eyes = EyesOfFaces()
    for time_s in (0.0, 0.1, 0.2):
        state = eyes(frame_of(time_s, (7, face_of(make_head(yaw)))))[7]
    assert (state.closed is False) is known and (state.right is None) is not known
    summary = eyes.summaries()[7]
    assert (summary.known_s, summary.unknown_s) == pytest.approx((0.2, 0) if known else (0, 0.2))


def test_openings_are_of_the_frame_alone(make_head: MakeHead) -> None:
    """Not of the smoothed landmarks, which lag too far behind for a blink."""
    opened = make_head()
    shut = opened.copy()
    shut[[37, 38, 43, 44]] = shut[[41, 40, 47, 46]]
    eyes = EyesOfFaces(EyeLimits(smoothing_s=0))
    assert eyes(frame_of(0.0, (1, face_of(opened))))[1].right == 1.0
    tracked = TrackedFace(1, face_of(opened), shut)
    state = eyes(TrackedFrame(1, 0.04, np.zeros((90, 100, 3), np.uint8), [tracked]))[1]
    assert state.closed is True and state.right < 0.05


def test_faces_are_told_apart_and_their_memory_is_freed(make_head: MakeHead) -> None:
    eyes = EyesOfFaces(EyeLimits(level_s=1.0))
    face = face_of(make_head())
    eyes(frame_of(0.0, (1, face), (2, face)))
    eyes(frame_of(0.1, (2, face)))
    eyes(frame_of(5.0, (3, face)))
    eyes(frame_of(5.1, (2, face), (3, face)))
    found = eyes.summaries()
    assert [(face.first_s, face.last_s) for face in found.values()] == [(0.0, 0.0), (0.0, 5.1), (5.0, 5.1)]
    assert found[2].unknown_s == pytest.approx(5.0)


def test_other_markups_have_no_eyes(make_head: MakeHead) -> None:
    markup = markup_from("66")
    points = markup.derivations["ibug-68"].apply(make_head()).astype(np.float32)
    eyes = EyesOfFaces()
    assert eyes(frame_of(0.0, (1, Face(points, Box.around(points), 1.0, markup=markup)))) == {}
    assert eyes.to_dict()["faces"] == []


@pytest.mark.parametrize("yaw", [0, -1, 91, float("nan")])
def test_a_yaw_out_of_bounds_is_refused(yaw: float) -> None:
    with pytest.raises(ValueError, match="max_yaw_deg"):
        EyesOfFaces(max_yaw_deg=yaw)
