"""A batch: the same bytes whatever happens, bad photos as rows, plans that must agree."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest

import jvcr.batch.local
import jvcr.batch.reading
from jvcr import Landmarker, read_image
from jvcr.batch import Shard
from jvcr.batch.events import EngineError, Event, EventKind
from jvcr.batch.job import Engine, Tally, TooManyErrors, retry, tally
from jvcr.batch.local import run_processes
from jvcr.batch.plan import read_plan
from jvcr.batch.progress import Watch, duration
from jvcr.batch.shard import Counts
from jvcr.batch.store import Store
from jvcr.batch.verify import redo, verify
from jvcr.landmarker import MIN_SCORE

pa = pytest.importorskip("pyarrow", reason="pyarrow comes with the extra batch")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with the extra batch")


Batch = Callable[..., Tally]
COMMAND = [sys.executable, "-m", "jvcr.cli.app", "batch"]
BOX = [28.0, 40.0, 113.0, 100.0]
HOLDS: dict[str, Any] = {"photos_per_pass": 1, "time_limit_s": 600.0}
"""Settings with which a worker reports the first photos of a shard, and then waits at the one that is held."""


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of a folder of results that must not depend on the run."""
    return {
        f"{part}/{path.name}": path.read_bytes()
        for part in ("faces", "photos", "done", "plan")
        for path in sorted((folder / part).iterdir())
    }


class Held:
    """A list of a folder's photos, one of which is held: it is a FIFO that nobody writes to.

    A worker that reads it waits there until it is killed. So it never finishes the shard before a signal arrives,
    however busy the machine is.
    """

    def __init__(self, photos: Path, name: str) -> None:
        self.list = photos.with_suffix(".txt")
        self._path, self._kept = photos / name, photos / f"{name}.kept"
        names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.jpg"))
        # Only through a URL: a FIFO in a folder is refused at once.
        lines = [self._path.as_uri() if one == name else f"{photos.name}/{one}" for one in names]
        self.list.write_text("\n".join(lines), "utf-8")

    def hold(self) -> None:
        """From now on, workers wait there."""
        self._path.rename(self._kept)
        os.mkfifo(self._path)

    def release(self) -> None:
        """Put the photo back, for those that come later."""
        self._kept.replace(self._path)


needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")


def kill_workers() -> None:
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


def marks_in(out: Path) -> dict[str, int]:
    """When each shard that is done was marked."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "done").glob("*.json")}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "nothing happens"
        time.sleep(0.02)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False, env=environment
    )


def test_faces_are_those_of_predict(photos: Path, tmp_path: Path, batch: Batch) -> None:
    assert batch(photos).done == Counts(8, 8, 0)
    landmarker = Landmarker(threads=1, mirror=False, refine=False)
    rows = parquet.read_table(tmp_path / "out" / "faces").to_pylist()
    assert [row["photo_index"] for row in rows] == list(range(8))
    for row in rows:
        (face,) = landmarker.predict(read_image(photos / row["photo"]))
        np.testing.assert_allclose(np.reshape(row["landmarks"], (68, 3)), face.landmarks, atol=5e-3)
        assert row["score"] == pytest.approx(face.score, abs=1e-3)
        assert row["yaw_deg"] == pytest.approx(face.pose.yaw_deg, abs=0.05)
        np.testing.assert_allclose(row["visibility"], face.visibility, atol=2e-3)
        np.testing.assert_allclose(row["sigma_px"], face.sigma_px, rtol=1e-2)
        assert dict(row["expression"]) == pytest.approx(face.expression.to_dict(), abs=0.02)


def test_the_tables_are_read_without_our_code(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos)
    faces, out = str(tmp_path / "out" / "faces" / "*.parquet"), tmp_path / "out"
    readers = 0
    try:
        import pandas
    except ImportError:
        pass
    else:
        frame = pandas.read_parquet(out / "faces")
        assert len(frame) == 8
        assert len(frame["landmarks"][0]) == 3 * 68
        readers += 1
    try:
        import polars
    except ImportError:
        pass
    else:
        assert polars.read_parquet(faces)["landmarks"].list.len().to_list() == [204] * 8
        readers += 1
    try:
        import duckdb
    except ImportError:
        pass
    else:
        join = f"'{out}/photos/*.parquet' p join '{faces}' f using (photo_index)"
        query = f"select p.photo, len(f.landmarks) from {join} order by p.photo"  # a join has no order of its own
        assert duckdb.sql(query).fetchall()[0] == ("a/000.jpg", 204)
        readers += 1
    if not readers:
        pytest.skip("none of pandas, Polars and DuckDB is installed")


def test_bytes_do_not_depend_on_engine_and_workers(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos, "here")
    for name, workers in (("one", 1), ("two", 2)):
        assert batch(photos, name, engine=Engine.PROCESSES, workers=workers).done == Counts(8, 8, 0)
        assert contents(tmp_path / name) == contents(tmp_path / "here")
    batch(photos, "drawn", draw_every=2)
    assert contents(tmp_path / "drawn") == contents(tmp_path / "here")
    assert len(list((tmp_path / "drawn" / "sheets").iterdir())) == 3


def test_no_name_of_this_machine_is_in_a_shard(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos)
    for name, data in contents(tmp_path / "out").items():
        assert name.startswith("plan/") or str(tmp_path).encode() not in data


@needs_fifo
def test_kills_lose_the_shards_in_hand_at_most(
    photos: Path, tmp_path: Path, batch: Batch, make_photos: Callable[[Path, int], list[str]]
) -> None:
    """The whole command is killed with -9 again and again, as soon as it has done something."""
    names = make_photos(photos, 40)
    held = Held(photos, names[-1])
    batch(held.list, "whole", shard=4, settings={"time_limit_s": 600.0})
    out = tmp_path / "out"
    options = ["--shard", 4, "--workers", 1, "--no-mirror", "--no-refine", "--per-pass", 3, "--time-limit", 600]
    arguments = [*COMMAND, str(held.list), str(out), *map(str, options)]
    held.hold()
    marks: dict[str, int] = {}
    for _ in range(3):
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
        # All but the last shard, at which it waits.
        wait_for(lambda: len(marks_in(out)) > min(len(marks), 8), process)  # noqa: B023 - called at once
        process.kill()
        # Until its worker, too, has noticed and ended: the error output is open until then.
        process.communicate(timeout=240)
        # What was done was not computed again.
        assert marks.items() <= marks_in(out).items()
        marks = marks_in(out)
    held.release()
    assert len(marks) < 10
    assert command(held.list, out, *options).returncode == 0
    assert marks.items() <= marks_in(out).items()
    assert contents(out) == contents(tmp_path / "whole")
    assert command("verify", out).returncode == 0


@needs_fifo
def test_a_run_that_is_asked_to_end_says_how_to_go_on(
    photos: Path, tmp_path: Path, make_photos: Callable[[Path, int], list[str]]
) -> None:
    held = Held(photos, make_photos(photos, 12)[-1])
    held.hold()
    out = tmp_path / "out"
    arguments = [*COMMAND, str(held.list), str(out), "--shard", "4", "--workers", "1", "--time-limit", "600"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(marks_in(out)) == 2, process)
    process.terminate()
    # The error output is open until its worker has ended, too.
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "the same command goes on" in errors
    assert len(marks_in(out)) == 2


def test_a_missing_extra_is_named(photos: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from jvcr.cli.app import main\n"
        f"sys.argv = ['jvcr', 'batch', {str(photos)!r}, {str(tmp_path / 'out')!r}]\nmain()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert 'pip install ".[batch]"' in ran.stderr.replace("\n", " ")


@needs_fifo
def test_a_worker_that_dies_is_replaced(photos: Path, tmp_path: Path, batch: Batch) -> None:
    held = Held(photos, "b/007.jpg")
    batch(held.list, "whole", settings=HOLDS)
    held.hold()
    events: list[Event] = []

    def kill_once(event: Event) -> None:
        events.append(event)
        if event.kind is EventKind.PHOTO and event.shard == 1 and not deaths():
            kill_workers()
            held.release()

    def deaths() -> list[Event]:
        return [event for event in events if event.kind is EventKind.DEATH]

    after = batch(held.list, settings=HOLDS, engine=Engine.PROCESSES, workers=1, notify=kill_once)
    assert after.done == Counts(8, 8, 0)
    assert deaths() == [Event(EventKind.DEATH, 1, text="the worker died (signal 9)")]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@needs_fifo
def test_a_worker_that_reports_nothing_is_replaced(
    photos: Path, tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(photos, "a/006.jpg")
    batch(held.list, "whole", settings=HOLDS)
    batch(held.list, settings=HOLDS)
    for path in (tmp_path / "out" / "done").iterdir():
        path.unlink()
    held.hold()
    deaths: list[str] = []
    passed_s = [0.0]
    monkeypatch.setattr(jvcr.batch.local, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed_s[0]))

    def stop_once(event: Event) -> None:
        if event.kind is EventKind.PHOTO and event.shard == 0 and not deaths:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGSTOP)
            held.release()
            passed_s[0] = 1001.0
        if event.kind is EventKind.DEATH:
            deaths.append(event.text)

    run_processes(str(tmp_path / "out"), [0, 1, 2], stop_once, workers=1, stall_s=1000)
    assert deaths == ["the worker reported nothing for 1000 s and was ended"]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@needs_fifo
def test_a_shard_that_kills_twice_is_set_aside(photos: Path, tmp_path: Path, batch: Batch) -> None:
    held = Held(photos, "b/007.jpg")
    held.hold()

    def kill(event: Event) -> None:
        if event.kind is EventKind.PHOTO and event.shard == 1:
            kill_workers()

    after = batch(held.list, settings=HOLDS, engine=Engine.PROCESSES, workers=1, notify=kill)
    assert (after.shards, after.aside, after.done.photos) == (2, 1, 5)
    (mark,) = (tmp_path / "out" / "aside").iterdir()
    assert json.loads(mark.read_text()) == {"shard": 1, "reasons": ["the worker died (signal 9)"] * 2}
    held.release()
    # It is left alone until it is asked for.
    assert batch(held.list, settings=HOLDS).aside == 1
    assert retry(Store(str(tmp_path / "out"))) == 1
    assert batch(held.list, settings=HOLDS).done == Counts(8, 8, 0)


def test_bad_photos_are_rows(photos: Path, tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "a" / "000.jpg").write_bytes(b"no image")
    (photos / "a" / "003.jpg").write_bytes(b"")
    PIL.Image.fromarray(np.zeros((900, 1000), np.uint8)).save(photos / "b" / "bomb.png")
    (photos / "c" / "gone.jpg").symlink_to("nowhere.jpg")
    PIL.Image.fromarray(np.zeros((10, 12, 3), np.uint8)).save(photos / "c" / "hangs.png")
    decode = jvcr.batch.reading.decode_image

    def hang(data: bytes, name: str, max_pixels: int) -> Any:
        while name == "c/hangs.png":
            time.sleep(0.1)
        return decode(data, name, max_pixels)

    monkeypatch.setattr(jvcr.batch.reading, "decode_image", hang)
    settings = {"max_pixels": 500_000, "time_limit_s": 1.0}
    after = batch(photos, settings=settings)
    assert after.done == Counts(11, 6, 5)
    rows = {row["photo"]: row for row in parquet.read_table(tmp_path / "out" / "photos").to_pylist()}
    errors = {name: row["error"] for name, row in rows.items() if row["error"]}
    expected = {
        "a/000.jpg": "not an image in a known format",
        "a/003.jpg": "the file is empty",
        "b/bomb.png": "larger than the limit of 0.5 megapixels",
        "c/gone.jpg": "No such file",
        "c/hangs.png": "longer than the limit of 1 s",
    }
    assert errors.keys() == expected.keys()
    for name, text in expected.items():
        assert text in errors[name]
    assert (rows["c/002.jpg"]["width"], rows["c/002.jpg"]["height"], rows["c/002.jpg"]["faces"]) == (150, 160, 1)
    assert (rows["a/000.jpg"]["width"], rows["a/000.jpg"]["bytes"], rows["a/000.jpg"]["faces"]) == (None, 8, 0)
    with pytest.raises(TooManyErrors, match="5 photos failed, more than --max-errors 4"):
        batch(photos, settings=settings, max_errors=4)
    assert batch(photos, settings=settings, max_errors=5).shards == 4


def test_too_many_errors_end_a_run(photos: Path, batch: Batch) -> None:
    for path in photos.rglob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(TooManyErrors, match="2 photos failed"):
        batch(photos, max_errors=1)


def test_boxes_of_a_file(photos: Path, tmp_path: Path, batch: Batch) -> None:
    boxes = {"a/000.jpg": [BOX, BOX], "b/001.jpg": [[500, 500, 600, 600]]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    planned = {"boxes": str(tmp_path / "boxes.json")}
    assert batch(photos, planned=planned).done == Counts(8, 2, 1)
    rows = parquet.read_table(tmp_path / "out" / "faces").to_pylist()
    assert [(row["photo"], row["face"], row["x0"], row["y1"]) for row in rows] == [
        ("a/000.jpg", 0, 28.0, 100.0),
        ("a/000.jpg", 1, 28.0, 100.0),
    ]
    errors = [row["error"] for row in parquet.read_table(tmp_path / "out" / "photos").to_pylist() if row["error"]]
    assert errors[0].startswith("box 0: ")
    (tmp_path / "boxes.json").write_text("{}")
    with pytest.raises(ValueError, match="boxes_sha256: planned"):
        batch(photos, planned=planned)


def test_boxes_of_a_column(photos: Path, tmp_path: Path, batch: Batch) -> None:
    data = (photos / "a" / "000.jpg").read_bytes()
    table = pa.table({"image": [data] * 3, "boxes": [[BOX], None, [BOX, BOX]]})
    parquet.write_table(table, tmp_path / "set.parquet")
    assert batch(tmp_path / "set.parquet", planned={"boxes": "boxes"}).done == Counts(3, 3, 0)


def test_other_settings_are_refused_with_what_differs(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos)
    with pytest.raises(ValueError, match="results of other settings") as error:
        batch(photos, settings={"refine": True, "min_score": 0.4})
    assert "refine: planned False, now True" in str(error.value)
    assert f"min_score: planned {MIN_SCORE}, now 0.4" in str(error.value)
    with pytest.raises(ValueError, match="photos_per_shard: planned 3, now 4"):
        batch(photos, shard=4)
    with pytest.raises(ValueError, match="given: planned"):
        batch(photos / "a")
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    plan["settings"]["weights_sha256"] = "0" * 64
    (tmp_path / "out" / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match="weights_sha256: planned '0000"):
        batch(photos)
    for mark in (tmp_path / "out" / "done").iterdir():
        mark.unlink()
    with pytest.raises(ValueError, match="this machine's file has the SHA-256"):
        Shard(str(tmp_path / "out"), 0).run()


def test_a_shard_can_be_pickled(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos, "whole")
    batch(photos)
    for part in ("done", "faces", "photos"):
        for path in (tmp_path / "out" / part).iterdir():
            path.unlink()
    shards = list(Shard.pending(str(tmp_path / "out")))
    assert [pickle.loads(pickle.dumps(shard)).run().photos for shard in reversed(shards)] == [2, 3, 3]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    with pytest.raises(ValueError, match="shard 3: the plan has shards 0 to 2"):
        Shard(str(tmp_path / "out"), 3).run()


def test_verify_finds_what_is_wrong(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos)
    out = tmp_path / "out"
    store = Store(str(out))
    before = contents(out)
    assert list(verify(store, read_plan(store))) == []
    faces = out / "faces" / "shard-0000000.parquet"
    data = bytearray(faces.read_bytes())
    data[len(data) // 2] ^= 1
    faces.write_bytes(data)
    (out / "photos" / "shard-0000001.parquet").unlink()
    (out / "done" / "shard-0000002.json").unlink()
    faults = list(verify(store, read_plan(store)))
    assert [(fault.shard, fault.redo) for fault in faults] == [(0, True), (1, True), (2, False)]
    assert "SHA-256" in faults[0].text
    assert faults[1].text.endswith("missing")
    assert redo(store, faults) == 2
    assert batch(photos).done == Counts(8, 8, 0)
    assert contents(out) == before
    listing = out / "plan" / "shard-0000001.jsonl"
    listing.write_text(listing.read_text().replace("b/001", "b/009"))
    assert [fault.text for fault in verify(store, read_plan(store))][-1].startswith("the listings of the photos")


def test_results_at_a_url(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos, "whole")
    assert batch(photos, "memory://results/run").done == Counts(8, 8, 0)
    store = Store("memory://results/run")
    whole = contents(tmp_path / "whole")
    assert {name: store.read(name) for name in whole} == whole
    assert list(verify(store, read_plan(store))) == []


def test_a_full_disk_ends_the_run(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos)
    for path in (tmp_path / "out" / "done").iterdir():
        path.unlink()
    for path in (tmp_path / "out" / "times").iterdir():
        path.unlink()
    (tmp_path / "out" / "times").rmdir()
    (tmp_path / "out" / "times").write_text("in the way")
    with pytest.raises(EngineError, match="times"):
        batch(photos, engine=Engine.PROCESSES, workers=1)


def test_the_commands(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--shard", 3, "--workers", 1, "--no-mirror"]
    ran = command(photos, out, *options)
    assert ran.returncode == 0, ran.stderr
    assert "done: 8 photos, 8 faces, 0 photos with an error" in ran.stderr
    assert "shards  3 of 3 done" in command("status", out).stdout
    assert "complete, and as they were written" in command("verify", out).stdout
    (out / "done" / "shard-0000001.json").unlink()
    assert command("status", out).returncode == 1
    verified = command("verify", out)
    assert (verified.returncode, "shard 1: not done" in verified.stderr) == (1, True)
    refused = command("run", photos, out, *options, "--min-score", 0.4)
    assert refused.returncode == 1
    assert f"min_score: planned {MIN_SCORE}, now 0.4" in refused.stderr
    assert "8 photos in 3 shards, 2 of them done already" in command(*options, photos, out).stderr
    assert command("report", out).returncode == 0
    page = (out / "report.html").read_text()
    assert page.count("<img") == 8
    assert "8 of 8" in page
    log = (out / "run.log").read_text()
    assert log.count("done, 3 photos, 3 faces, 0 errors") == 3
    assert command("status", tmp_path).returncode == 1


def test_out_is_not_the_folder_of_photos(photos: Path) -> None:
    refused = command(photos, photos)
    assert refused.returncode == 1
    assert "is the folder of the photos" in refused.stderr


def test_progress_takes_back_what_is_lost(photos: Path, tmp_path: Path, batch: Batch) -> None:
    batch(photos)
    store = Store(str(tmp_path / "out"))
    for path in (tmp_path / "out" / "done").iterdir():
        path.unlink()
    clock = [0.0]
    watch = Watch(tally(store, read_plan(store)), lambda: clock[0])
    for _ in range(3):
        clock[0] += 2
        watch(Event(EventKind.PHOTO, 0, Counts(1, 2, 0)))
    assert watch.counts == Counts(3, 6, 0)
    watch(Event(EventKind.DEATH, 0, text="lost"))
    assert watch.counts == Counts(0, 0, 0)
    clock[0] = 10.0
    watch(Event(EventKind.DONE, 0, Counts(4, 4, 1)))
    assert watch.line() == "4 of 8 photos, 4 faces, 1 errors, 0.4 photos/s, 10 s left"
    assert [duration(s) for s in (59.0, 600.0, 5400.0, 1e6)] == ["59 s", "10 min", "1 h 30 min", "11.6 days"]
