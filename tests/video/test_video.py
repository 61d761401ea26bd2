"""Videos: times, rotation and sound are kept; broken ones end cleanly. ``jvcr video`` end to end."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from jvcr import Landmarker
from jvcr.cli.app import app
from jvcr.evaluate.motion import MovingFaces, Placement
from jvcr.video.files import VideoSink, VideoSource

av: Any = pytest.importorskip("av")

TIMES = np.array([0, 1, 2, 4, 5, 9, 10, 11, 12, 15]) / 30
"""Of frames at a rate that varies."""


def write(path: Path, images: Sequence[np.ndarray], times: Sequence[float], sound: bool = False) -> Path:
    """A video written without jvcr."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 3000)
        tone = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for image, at in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(3000 * at), Fraction(1, 3000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            wave = np.sin(np.arange(16000 * (times[-1] + 0.1)) * 0.2).astype(np.float32)[None]
            samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 16000, 0
            container.mux(tone.encode(samples))
            container.mux(tone.encode(None))
    return path


def ramps(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Dark to the left, bright to the right; a black corner at the top left."""
    image = np.repeat(np.linspace(40, 220, size[0]).astype(np.uint8)[None, :, None], size[1], 0).repeat(3, 2)
    image[:12, :12] = 0
    return [image] * count


def sound_of(path: Path) -> tuple[float, float]:
    """First time and end of the sound, seconds."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.dts is not None]
        return float(packets[0].pts * packets[0].time_base), float(
            (packets[-1].pts + packets[-1].duration) * packets[-1].time_base
        )


@pytest.fixture
def film(tmp_path: Path, faces_on: Callable[..., MovingFaces]) -> Path:
    clip = faces_on(lambda t: Placement(200 + 60 * t, 135, 100))
    return write(tmp_path / "film.mp4", [clip.frame(float(t)) for t in TIMES], TIMES.tolist(), sound=True)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_times_of_a_varying_rate_are_kept(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a{ending}", ramps(len(TIMES)), TIMES.tolist())
    with VideoSource(path) as source, VideoSink(tmp_path / f"b{ending}", source) as sink:
        for frame in source:
            sink.write(frame.image, frame.time_s)
    with VideoSource(tmp_path / f"b{ending}") as again:
        frames = list(again)
    assert [f.index for f in frames] == list(range(len(TIMES)))
    np.testing.assert_allclose([f.time_s for f in frames], TIMES, atol=0.0011)
    assert np.abs(frames[3].image.astype(int) - ramps(1)[0]).mean() < 4


def test_sides_may_be_odd(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", ramps(3), [0, 0.1, 0.2])
    with VideoSource(path) as source, VideoSink(tmp_path / "b.mp4", source) as sink:
        for frame in source:
            sink.write(frame.image[:-1, :-1], frame.time_s)
    with VideoSource(tmp_path / "b.mp4") as again:
        assert next(iter(again)).image.shape == (48, 64, 3)


def test_rotation_is_respected(tmp_path: Path) -> None:
    """A phone held upright writes lying frames, and a matrix that says so."""
    path = write(tmp_path / "a.mp4", ramps(2), [0, 0.1])
    data = bytearray(path.read_bytes())
    # The track header's matrix, 16.16 fixed point: a quarter turn clockwise.
    start = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    assert struct.unpack_from(">9i", data, start)[0] == one
    struct.pack_into(">9i", data, start, 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    with VideoSource(path) as source:
        image = next(iter(source)).image
    assert image.shape == (64, 48, 3)
    # What was on top is on the right, what was on the left on top.
    assert image[:8, -8:].mean() < 20
    assert image[-1].mean() > image[20].mean() + 50


def test_sound_is_kept(film: Path, tmp_path: Path) -> None:
    with VideoSource(film, audio=True) as source, VideoSink(tmp_path / "out.mp4", source) as sink:
        for frame in source:
            sink.write(frame.image, frame.time_s)
    np.testing.assert_allclose(sound_of(tmp_path / "out.mp4"), sound_of(film), atol=0.07)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "missing.mp4"):
        with pytest.raises(ValueError, match=f"{name}.*expected a video"):
            VideoSource(tmp_path / name)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=16000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 16000, 0
        container.mux(tone.encode(samples))
        container.mux(tone.encode(None))
    with pytest.raises(ValueError, match="no video stream"):
        VideoSource(tmp_path / "sound.mp4")


def test_endings_that_are_no_video_are_refused(film: Path, tmp_path: Path) -> None:
    with VideoSource(film) as source, pytest.raises(ValueError, match=r"\.mp4, \.mov or \.mkv"):
        VideoSink(tmp_path / "out.gif", source)


def test_track_yields_frames_with_faces(film: Path, tracking: Landmarker) -> None:
    frames = list(tracking.track(film, smooth=0))
    np.testing.assert_allclose([frame.time_s for frame in frames], TIMES, atol=0.001)
    assert all([face.identity for face in frame.faces] == [1] for frame in frames)
    nose_x = np.array([frame.faces[0].face.landmarks[30, 0] for frame in frames])
    # 60 pixels a second to the right.
    np.testing.assert_allclose(np.polyfit(TIMES, nose_x, 1)[0], 60, atol=6)


def test_the_command_writes_video_and_json(film: Path, tmp_path: Path) -> None:
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    done = CliRunner().invoke(app, ["video", str(film), "--out", str(out), "--json", str(lines), "--threads", "1"])
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [r["frame"] for r in records] == list(range(len(TIMES)))
    assert [r["time"] for r in records] == pytest.approx(TIMES.tolist(), abs=0.001)
    assert all(len(r["faces"]) == 1 and r["faces"][0]["id"] == 1 for r in records)
    assert np.shape(records[0]["faces"][0]["landmarks"]) == (68, 3)
    with VideoSource(out) as drawn, VideoSource(film) as plain:
        pairs = list(zip(drawn, plain, strict=True))
    assert all(a.image.shape == b.image.shape for a, b in pairs)
    assert np.abs(pairs[0][0].image.astype(int) - pairs[0][1].image).max() > 80
    assert sound_of(out)[1] > 0.5


def test_without_options_files_are_put_beside_the_video(film: Path) -> None:
    done = CliRunner().invoke(app, ["video", str(film), "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert (film.parent / "film_landmarks.mp4").is_file()
    assert len((film.parent / "film_landmarks.jsonl").read_text().splitlines()) == len(TIMES)


def test_the_video_itself_is_not_overwritten(film: Path) -> None:
    before = film.read_bytes()
    done = CliRunner().invoke(app, ["video", str(film), "--out", str(film)])
    assert done.exit_code != 0
    assert film.read_bytes() == before


def test_a_broken_video_keeps_what_was_read(tmp_path: Path, faces_on: Callable[..., MovingFaces]) -> None:
    clip = faces_on(lambda t: Placement(200 + 60 * t, 135, 100), noise=12)
    times = (np.arange(60) / 30).tolist()
    whole = write(tmp_path / "whole.mkv", [clip.frame(t) for t in times], times)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    done = CliRunner().invoke(app, ["video", str(broken), "--out", str(out), "--json", str(lines), "--threads", "1"])
    written = len(lines.read_text().splitlines())
    assert 5 < written < 60, done.output
    with VideoSource(out) as again:
        assert len(list(again)) == written


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_a_playable_video(
    tmp_path: Path, faces_on: Callable[..., MovingFaces], stop: signal.Signals
) -> None:
    clip = faces_on(lambda t: Placement(240, 135, 100))
    times = (np.arange(600) / 30).tolist()
    film = write(tmp_path / "long.mp4", [clip.frame(0.0)] * 600, times)
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "jvcr.cli.app", "video", str(film), "--out", str(out), "--json", str(lines)]
    with subprocess.Popen([*command, "--threads", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        limit = time.monotonic() + 60
        while not (lines.exists() and lines.stat().st_size) and time.monotonic() < limit:
            time.sleep(0.05)
        running.send_signal(stop)
        output = running.communicate(timeout=60)[0].decode()
    assert running.returncode == 130, output
    assert "can be played" in output
    with VideoSource(out) as again:
        assert len(list(again)) == len(lines.read_text().splitlines()) > 0


def test_the_command_says_what_it_cannot_open(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["video", str(tmp_path / "none.mp4")])
    assert done.exit_code == 1
    assert "none.mp4" in str(done.exception)
    assert not list(tmp_path.iterdir())
