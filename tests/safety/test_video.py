"""Videos: what a kill leaves can be played, what is missing is said, and damage is skipped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jvcr.images import Image
from jvcr.io.outputs import ExistingResults
from jvcr.landmarker import Landmarker
from jvcr.results import Face
from jvcr.video import files
from jvcr.video.files import VideoSink, VideoSource

av: Any = pytest.importorskip("av")

COMMAND = [sys.executable, "-m", "jvcr.cli.app"]

KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from jvcr.video.files import VideoSink, VideoSource
film, out, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
noise = np.random.default_rng(0).integers(0, 60, (96, 128, 3), dtype=np.uint8)
with VideoSource(film) as source, VideoSink(out, source, overwrite=True) as sink:
    for number in range(10_000):
        sink.write(np.roll(noise, number, 1), number / 30)
        if number == last:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("replaces", [False, True])
def test_a_kill_loses_the_last_second_at_most(
    tmp_path: Path, write_film: Callable[..., Path], ending: str, replaces: bool
) -> None:
    film, out = write_film(tmp_path / "film.mp4", 3), tmp_path / f"out{ending}"
    if replaces:
        out.write_bytes(b"yesterday's")
    killed = subprocess.run([sys.executable, "-c", KILLED, film, out, "200"], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    times = times_of(tmp_path / f"out.part{ending}" if replaces else out)
    assert len(times) >= 200 - 30
    assert all(after - before == pytest.approx(1 / 30, abs=0.002) for before, after in pairwise(times))
    if replaces:
        assert out.read_bytes() == b"yesterday's"


def test_a_closed_mp4_is_an_ordinary_one(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    """With the length and the number of its frames in it, for players that look for them."""
    with VideoSource(write_film(tmp_path / "a.mp4", 40)) as source, VideoSink(tmp_path / "b.mp4", source) as sink:
        for frame in source:
            sink.write(frame.image, frame.time_s)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].frames == 40
        assert container.duration == pytest.approx(40 / 30 * 1e6, rel=0.03)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_closed_terminal_ends_it_as_ctrl_c_does(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "long.mp4", 900)
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    command = [*COMMAND, "video", film, "--out", out, "--json", lines, "--threads", "1"]
    # A pseudo terminal whose other end is closed: writing to it fails from then on.
    master, terminal = os.openpty()
    with subprocess.Popen(
        command,
        stdout=terminal,
        stderr=terminal,
        stdin=terminal,
        # Under nohup, tests inherit that the signal is ignored, and the run would ignore it too.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    ) as running:
        os.close(terminal)
        limit = time.monotonic() + 60
        while not (lines.exists() and lines.stat().st_size) and time.monotonic() < limit:
            time.sleep(0.05)
        running.send_signal(signal.SIGHUP)
        os.close(master)
        assert running.wait(timeout=60) == 130
    written = [json.loads(line)["frame"] for line in lines.read_text().splitlines()]
    assert written == list(range(len(written)))
    assert len(times_of(out)) == len(written) > 0


def test_a_truncated_film_says_so(
    tmp_path: Path, write_film: Callable[..., Path], jvcr: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    whole = write_film(tmp_path / "whole.mp4", options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done = jvcr("video", cut, "--json", "cut.jsonl", "--threads", "1")
    lines = len((tmp_path / "cut.jsonl").read_text().splitlines())
    assert done.returncode == 1
    assert 5 < lines < 80
    assert f"cut.mp4: cut off: its last frame is number {lines} of 100" in done.stderr
    assert "everything before that was written" in done.stderr


@pytest.mark.parametrize("ending", ["mkv", "avi", "mp4"])
def test_truncation_is_seen_in_every_container(tmp_path: Path, write_film: Callable[..., Path], ending: str) -> None:
    whole = write_film(tmp_path / f"whole.{ending}", options={"movflags": "faststart"} if ending == "mp4" else {})
    with VideoSource(whole) as source:
        assert len(list(source)) == 100
    assert source.failure is None
    cut = tmp_path / f"cut.{ending}"
    cut.write_bytes(whole.read_bytes()[: int(0.8 * whole.stat().st_size)])
    with VideoSource(cut) as source:
        assert len(list(source)) < 95
    assert source.failure is not None and f"cut.{ending}: cut off" in source.failure


def packets_of(path: Path) -> Sequence[tuple[int, int]]:
    """Where each packet of a video lies in its file: position and size."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def damaged_film(path: Path, packets: range) -> Path:
    places = packets_of(path)
    data = bytearray(path.read_bytes())
    for number in packets:
        position, size = places[number]
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    return path


def test_damaged_packets_are_skipped_and_counted(
    tmp_path: Path, write_film: Callable[..., Path], jvcr: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    film = damaged_film(write_film(tmp_path / "film.mp4"), range(11, 14))
    done = jvcr("video", film, "--json", "film.jsonl", "--threads", "1")
    assert done.returncode == 1
    assert "film.mp4: 3 damaged packets were skipped" in done.stderr
    times = [json.loads(line)["time"] for line in (tmp_path / "film.jsonl").read_text().splitlines()]
    assert len(times) == 97
    assert times[-1] == pytest.approx(99 / 30, abs=0.001)


def test_the_rest_is_given_up_after_a_run_of_damage(
    tmp_path: Path, write_film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    film = damaged_film(write_film(tmp_path / "film.mp4"), range(20, 60))
    with VideoSource(film) as source:
        assert len(list(source)) == 60
    assert (source.damaged, source.failure) == (40, None)
    monkeypatch.setattr(files, "MOST_DAMAGED", 25)
    with VideoSource(film) as source:
        assert len(list(source)) <= 20
    assert source.damaged == 25
    assert source.failure is not None and "broke after frame" in source.failure


class NoFaces(Landmarker):
    """Sees none, without a network."""

    def __init__(self) -> None:
        pass

    def find_more(self, image: Image, known: object) -> list[Face]:
        return []

    def look_again(self, image: Image, landmarks: object) -> list[Face | None]:
        return []


def test_track_warns_of_damage_and_raises_for_what_is_missing(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = damaged_film(write_film(tmp_path / "film.mp4"), range(11, 13))
    with pytest.warns(UserWarning, match=r"film\.mp4: 2 damaged packets"):
        assert len(list(NoFaces().track(film))) == 98
    whole = write_film(tmp_path / "whole.mkv")
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames = []
    with pytest.raises(ValueError, match=r"whole\.mkv: cut off"):
        frames.extend(NoFaces().track(whole))


def test_names_with_colons(
    tmp_path: Path, write_film: Callable[..., Path], jvcr: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """FFmpeg takes what is before a colon for a protocol."""
    write_film(tmp_path / "12:30: pipe:film.mp4", 5)
    done = jvcr("video", "12:30: pipe:film.mp4", "--out", "out:1.mp4", "--json", "out:1.jsonl", "--threads", "1")
    assert done.returncode == 0, done.stderr
    with VideoSource(tmp_path / "out:1.mp4") as again:
        assert len(list(again)) == 5


def test_a_film_that_is_a_list_of_other_files_is_refused(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    write_film(tmp_path / "secret.ts", 5)
    for number, text in enumerate(
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nsecret.ts\n#EXT-X-ENDLIST\n",
            "ffconcat version 1.0\nfile secret.ts\n",
        )
    ):
        film = tmp_path / f"film{number}.mp4"
        film.write_text(text)
        with pytest.raises(ValueError, match=rf"film{number}\.mp4"):
            VideoSource(film)


def test_frames_that_are_too_large_are_refused(
    tmp_path: Path, write_film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_film(tmp_path / "film.mp4", 3)
    monkeypatch.setattr(files, "MAX_PIXELS", 96 * 128)
    with VideoSource(film) as source:
        assert len(list(source)) == 3
    monkeypatch.setattr(files, "MAX_PIXELS", 96 * 128 - 1)
    with pytest.raises(ValueError, match=r"film\.mp4: its frames have 128 × 96 pixels, over the limit"):
        VideoSource(film)


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    for path in ("/dev/zero", tmp_path):
        with pytest.raises(ValueError, match=r"cannot be read: it is a (device|folder)"):
            VideoSource(path)


def test_a_full_disk_ends_it_with_what_was_done(
    tmp_path: Path, write_film: Callable[..., Path], jvcr: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    film = write_film(tmp_path / "film.mp4", noise=255)
    done = jvcr("video", film, "--out", "out.mp4", "--json", "out.jsonl", "--threads", "1", largest=100_000)
    assert done.returncode == 1
    assert "out.mp4: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    lines = (tmp_path / "out.jsonl").read_text()
    assert lines.endswith("\n")
    with VideoSource(tmp_path / "out.mp4") as again:
        assert 5 < len(list(again)) <= len(lines.splitlines()) < 100


def test_a_rerun_destroys_nothing(
    tmp_path: Path, write_film: Callable[..., Path], jvcr: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    write_film(tmp_path / "film.mp4", 4)
    assert jvcr("video", "film.mp4", "--threads", "1").returncode == 0
    results = [tmp_path / "film_landmarks.mp4", tmp_path / "film_landmarks.jsonl"]
    before = [path.read_bytes() for path in results]
    again = jvcr("video", "film.mp4", "--threads", "1")
    assert again.returncode == 1
    assert "film_landmarks.mp4: already exists; nothing was written: replace it with --overwrite" in again.stderr
    assert [path.read_bytes() for path in results] == before
    assert jvcr("video", "film.mp4", "--threads", "1", "--seconds", "0.05", "--overwrite").returncode == 0
    assert len(times_of(results[0])) == len(results[1].read_text().splitlines()) == 2
    assert len(list(tmp_path.iterdir())) == 3


def test_a_sink_replaces_nothing_unasked(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "film.mp4", 2)
    (tmp_path / "out.mp4").write_bytes(b"old")
    with VideoSource(film) as source:
        with pytest.raises(ExistingResults, match=r"out\.mp4: already exists"):
            VideoSink(tmp_path / "out.mp4", source)
        # Nothing to write is nothing to replace it with.
        with VideoSink(tmp_path / "out.mp4", source, overwrite=True):
            pass
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "out.mp4"]


@pytest.mark.parametrize("option", ["--smooth", "--detect-every", "--seconds"])
def test_not_a_number_is_refused(
    tmp_path: Path, jvcr: Callable[..., subprocess.CompletedProcess[str]], option: str
) -> None:
    done = jvcr("video", "film.mp4", option, "nan")
    assert done.returncode != 0
    assert np.size(list(tmp_path.iterdir())) == 0
