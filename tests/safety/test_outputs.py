"""What a run writes: no input, nothing twice, nothing that is there; whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr import files
from jvcr.cli.app import app
from jvcr.files import CannotWrite, write_bytes, write_text
from jvcr.images import read_image, write_image
from jvcr.io.lines import LineFile, json_lines
from jvcr.io.outputs import ExistingResults, check_outputs

Run = Callable[..., subprocess.CompletedProcess[str]]
BLANK = np.full((60, 80, 3), 90, np.uint8)
"""No face: the fastest photo."""


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.png" for name in ("a", "b", "c")]
    for path in paths:
        write_image(path, BLANK)
    return paths


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# No output is an input, or another output.


def test_an_output_is_no_input_by_any_name(tmp_path: Path) -> None:
    source = tmp_path / "photo.jpg"
    source.write_bytes(b"photo")
    (tmp_path / "soft.jpg").symlink_to(source)
    (tmp_path / "hard.jpg").hardlink_to(source)
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "folder")
    for name in ("photo.jpg", "soft.jpg", "hard.jpg", "folder/../photo.jpg"):
        for given in ("photo.jpg", "soft.jpg", "hard.jpg"):
            with pytest.raises(ValueError, match=r"--json .* the (same file as the input|inputs)|one of the inputs"):
                check_outputs({"--json": tmp_path / name}, [tmp_path / given])
    check_outputs({"--json": tmp_path / "new.jpg"}, [source])


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    (tmp_path / "y").hardlink_to(tmp_path / "x")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for first, second in (
        ("new", "new"),
        ("new", "link"),
        ("x", "y"),
        # One file on the disks of macOS and Windows: the second is the same letter, spelt in two characters.
        ("Out.jsonl", "out.JSONL"),
        ("caf\u00e9", "cafe\u0301"),
    ):
        with pytest.raises(ValueError, match="are one file"):
            check_outputs({"--out": tmp_path / first, "--json": tmp_path / second})
    with pytest.raises(ValueError, match=r"lies inside .*which is to be a file"):
        check_outputs({"--out": tmp_path / "deep" / "er" / "b", "--json": tmp_path / "deep"})
    check_outputs({"--out": tmp_path / "new", "--json": tmp_path / "deep" / "b"})


def test_an_output_is_no_folder_nor_inside_a_file(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    with pytest.raises(ValueError, match="is a folder"):
        check_outputs({"--json": tmp_path})
    with pytest.raises(ValueError, match="is a file, not a folder"):
        check_outputs({"--json": tmp_path / "photo.jpg" / "deep" / "a.json"}, [tmp_path / "photo.jpg"])
    with pytest.raises(ValueError, match="NUL"):
        check_outputs({"--json": tmp_path / "a\0b"})


def test_files_of_an_input_folder_are_inputs(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "faces.tar").write_bytes(b"faces")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(ValueError, match="inside the input"):
        check_outputs({"--sheet": tmp_path / "link" / "deep" / "faces.tar"}, [tmp_path / "data"])
    check_outputs({"--sheet": tmp_path / "data" / "sheet.png"}, [tmp_path / "data"])


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    check_outputs({"--out": "/dev/null", "--json": "/dev/null"}, ["/dev/null"])
    with json_lines("/dev/null") as lines:
        assert lines is not None
        lines.write("{}\n")
    write_bytes(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("options", [["--json", "{photo}"], ["--json", "link.png"], ["--boxes", "b", "--json", "b"]])
def test_predict_keeps_its_inputs(photos: list[Path], tmp_path: Path, options: list[str], jvcr: Run) -> None:
    (tmp_path / "link.png").hardlink_to(photos[0])
    (tmp_path / "b").write_text("a.png,1,2,30,40\n")
    before = contents(tmp_path)
    done = jvcr("predict", photos[0], *(option.format(photo=photos[0]) for option in options))
    assert done.returncode == 1
    assert "nothing was written" in done.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["video", "film.mp4", "--json", "film.mp4"],
        ["video", "film.mp4", "--out", "hard.mp4", "--overwrite"],
        ["video", "film.mp4", "--out", "new.mp4", "--json", "new.mp4"],
        ["figure", "5", "a.png", "--out", "a.png"],
        ["figure", "5", "a.png", "--boxes", "boxes.png", "--out", "boxes.png"],
        ["bench", "--photo", "bench.json", "--out", "."],
        ["export", "w.safetensors", "w.safetensors"],
        ["export", "w.onnx", "w.onnx"],
        ["markup", "m.toml", "--draw", "m.toml"],
        ["markup", "68", "--write", "new.toml", "--draw", "new.toml"],
        ["data", "check", ".", "--sheet", "a.png"],
        ["data", "check", ".", "--json", "boxes.png"],
        ["evaluate", "paper", "--results", "report.json", "--out", "."],
        ["evaluate", "table", "--root", ".", "--json", "boxes.png"],
        ["evaluate", "multi-view", "--root", "data", "--predictions", "p.npz", "--save-predictions", "p.npz"],
        ["predict", "a.png", "--weights", "w.onnx", "--json", "w.onnx"],
    ],
)
def test_no_command_writes_over_its_inputs(tmp_path: Path, arguments: list[str]) -> None:
    """Whatever is in them: the check comes before they are opened."""
    write_image(tmp_path / "a.png", BLANK)
    (tmp_path / "data").mkdir()
    for name in ("film.mp4", "boxes.png", "bench.json", "w.safetensors", "w.onnx", "m.toml", "report.json", "p.npz"):
        (tmp_path / name).write_bytes(b"precious")
    (tmp_path / "hard.mp4").hardlink_to(tmp_path / "film.mp4")
    before = contents(tmp_path)
    old = Path.cwd()
    os.chdir(tmp_path)
    try:
        done = CliRunner().invoke(app, arguments)
    finally:
        os.chdir(old)
    assert done.exit_code != 0
    text = f"{done.output} {done.exception}"
    assert any(part in text for part in ("input", "are one file")), text
    assert contents(tmp_path) == before


def linked(kind: str, name: Path, target: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    if kind == "hard":
        name.hardlink_to(target)
    else:
        name.symlink_to(target)


TRAIN = ["train", "--data", "table", "--out", "run", "--preset", "tiny"]
CLAIMS = ["claims", "--data", "table", "--out", "run", "--only", "a", "--preset", "tiny"]


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize(
    ("arguments", "output", "source"),
    [
        (TRAIN, "run/log.csv", "table/labels.npz"),
        (TRAIN, "run/losses.csv", "table/faces.tar"),
        (TRAIN, "run/last.ckpt", "table/detect_labels.npz"),
        (TRAIN, "run/last.ckpt.part", "table/labels.npz"),
        (TRAIN, "run/model.safetensors.part", "table/faces.tar"),
        (TRAIN, "run/pictures/000000008.jpg", "table/labels.npz"),
        ([*TRAIN, "--config", "c.toml"], "run/log.csv", "c.toml"),
        ([*TRAIN, "--init", "w.safetensors"], "run/model.safetensors", "w.safetensors"),
        ([*TRAIN, "--markup", "m.toml"], "run/losses.csv", "m.toml"),
        ([*TRAIN, "--task", "detect"], "run/log.csv", "table/detect_labels.npz"),
        (CLAIMS, "run/claims.md", "table/labels.npz"),
        (CLAIMS, "run/claims.json", "table/faces.tar"),
        (CLAIMS, "run/a/outcome.json", "table/labels.npz"),
        (CLAIMS, "run/a/cost.json.part", "table/labels.npz"),
        (CLAIMS, "run/a/last.ckpt", "table/faces.tar"),
        (CLAIMS, "run/a/log.csv", "table/detect_labels.npz"),
        (["data", "check", "table", "--json", "out.json"], "out.json", "table/labels.npz"),
        (["data", "check", "table", "--sheet", "out.png"], "out.png", "table/faces.tar"),
        (["data", "check", "table", "--option", "markup=m.toml", "--json", "out.json"], "out.json", "m.toml"),
        (["data", "check", "table", "--against", "other", "--json", "out.json"], "out.json", "other/labels.npz"),
    ],
)
def test_no_output_of_training_or_check_is_an_input_by_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, arguments: list[str], output: str, source: str
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    for name in ("table/labels.npz", "table/detect_labels.npz", "table/faces.tar", "other/labels.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(f"precious {name}".encode())
    for name in ("c.toml", "w.safetensors", "m.toml"):
        (tmp_path / name).write_bytes(f"precious {name}".encode())
    linked(kind, tmp_path / output, tmp_path / source)
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0
    assert "the input" in str(done.exception), f"{done.output} {done.exception}"
    assert contents(tmp_path) == before


CONVERT = ["data", "convert", "table", "table"]
TURN = ["data", "turn", "table", "--sources", "a"]


@pytest.mark.parametrize("command", [CONVERT, TURN])
@pytest.mark.parametrize("out", ["table", "link", "empty link", "table/labels.npz", "table/labels.npz/deep", "other"])
def test_a_table_is_only_written_into_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], out: str
) -> None:
    for name in ("table/labels.npz", "table/faces.tar", "other/labels.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"precious")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "table")
    (tmp_path / "empty link").symlink_to(tmp_path / "nothing")
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    place = 4 if command is CONVERT else 3
    done = CliRunner().invoke(app, [*command[:place], out, *command[place:]])
    assert done.exit_code != 0
    # Before the (unreadable) table was opened.
    assert any(part in str(done.exception) for part in ("already exists", "is a file, not a folder")), done.exception
    assert contents(tmp_path) == before
    assert (tmp_path / "empty link").is_symlink() and (tmp_path / "nothing").is_dir()


def test_a_table_may_be_written_inside_the_data_set_it_is_made_from(tmp_path: Path, make_table: Run) -> None:
    make_table(tmp_path, (5, -20))
    before = contents(tmp_path)
    done = CliRunner().invoke(app, ["data", "convert", "table", str(tmp_path), str(tmp_path / "new" / "table")])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert "new/table/labels.npz" in after and not any("partial" in name for name in after)


def test_a_finished_run_is_its_own_output(tmp_path: Path, make_table: Run) -> None:
    """The check of outputs refuses neither a resumed run nor one inside the folder of its table."""
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    make_table(tmp_path, (5, -20, 45, -75), ("train", "train", "train", "val"))
    arguments = ["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--preset", "tiny", "--workers", "0"]
    for minutes in ("0", "0"):
        done = CliRunner().invoke(app, [*arguments, "--samples", "640", "--minutes", minutes])
        assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert (tmp_path / "run" / "last.ckpt").is_file()


# A rerun destroys nothing.


def test_a_rerun_refuses_and_keeps_everything(photos: list[Path], tmp_path: Path, jvcr: Run) -> None:
    assert jvcr("predict", *photos).returncode == 0
    before = contents(tmp_path)
    assert len(before["jvcr-out/landmarks.jsonl"].splitlines()) == 3
    done = jvcr("predict", photos[0])
    assert done.returncode == 1
    assert "landmarks.jsonl: already exists; nothing was written: go on with --resume" in done.stderr
    done = jvcr("predict", photos[0], "--draw")
    assert done.returncode == 1
    assert "a_landmarks.jpg: already exists" in done.stderr
    assert contents(tmp_path) == before


def test_overwriting_replaces_what_belongs_to_the_run(photos: list[Path], tmp_path: Path, jvcr: Run) -> None:
    assert jvcr("predict", *photos).returncode == 0
    before = contents(tmp_path)
    assert jvcr("predict", photos[1], "--overwrite").returncode == 0
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    (record,) = map(json.loads, after["jvcr-out/landmarks.jsonl"].splitlines())
    assert record["image"] == str(photos[1])


def test_resuming_skips_what_is_done(photos: list[Path], tmp_path: Path, jvcr: Run) -> None:
    assert jvcr("predict", photos[0], photos[1]).returncode == 0
    lines = tmp_path / "jvcr-out" / "landmarks.jsonl"
    before, drawn = lines.read_bytes(), (tmp_path / "jvcr-out" / "a_landmarks.jpg").stat()
    # A kill in the middle of the third line.
    lines.write_bytes(before + b'{"image": "c.png", "wid')
    done = jvcr("predict", *photos, "--resume")
    assert done.returncode == 0, done.stderr
    assert "2 of 3 photos are done already" in done.stderr
    assert lines.read_bytes().startswith(before)
    assert [json.loads(line)["image"] for line in lines.read_text().splitlines()] == list(map(str, photos))
    assert (tmp_path / "jvcr-out" / "a_landmarks.jpg").stat().st_mtime_ns == drawn.st_mtime_ns
    again = jvcr("predict", *photos, "--resume")
    assert "3 of 3 photos are done already" in again.stderr
    assert len(lines.read_text().splitlines()) == 3


def test_resuming_does_again_what_has_changed_or_is_missing(photos: list[Path], tmp_path: Path, jvcr: Run) -> None:
    assert jvcr("predict", *photos).returncode == 0
    write_image(photos[0], BLANK[:50])
    (tmp_path / "jvcr-out" / "b_landmarks.jpg").unlink()
    done = jvcr("predict", *photos, "--resume")
    assert done.returncode == 0, done.stderr
    assert "1 of 3 photos are done already" in done.stderr
    records = [json.loads(line) for line in (tmp_path / "jvcr-out" / "landmarks.jsonl").read_text().splitlines()]
    assert [record["image"] for record in records] == [str(photos[2]), str(photos[0]), str(photos[1])]
    assert records[1]["height"] == 50
    assert sorted(path.name for path in (tmp_path / "jvcr-out").iterdir()) == [
        *(f"{name}_landmarks.jpg" for name in "abc"),
        "landmarks.jsonl",
    ]


def test_resuming_keeps_names_when_photos_are_added(tmp_path: Path, jvcr: Run) -> None:
    """Photos of one name in two folders: the numbers in their results do not change hands."""
    for folder in ("n", "m"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "one.png", BLANK)
    assert jvcr("predict", "n/one.png").returncode == 0
    assert jvcr("predict", "m/one.png", "n/one.png", "--resume").returncode == 0
    records = [json.loads(line) for line in (tmp_path / "jvcr-out" / "landmarks.jsonl").read_text().splitlines()]
    assert [(r["image"], r["written"]) for r in records] == [
        ("n/one.png", ["one_landmarks.jpg"]),
        ("m/one.png", ["one_2_landmarks.jpg"]),
    ]


def test_names_that_are_one_on_some_disks_get_numbers(tmp_path: Path, jvcr: Run) -> None:
    """The same letter in one character and in two, and other capitals."""
    for number, name in enumerate(("caf\u00e9", "cafe\u0301", "Caf\u00e9")):
        (tmp_path / str(number)).mkdir()
        write_image(tmp_path / str(number) / f"{name}.png", BLANK)
    assert jvcr("predict", "0", "1", "2", "--draw", "--out", "out").returncode == 0
    assert len({path.name.split("_")[1] for path in (tmp_path / "out").iterdir()}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "my own notes\n",
        "notes without an end",
        '{"image": "a.png"}\n',
        '{"image": 3, "source": {}}\n',
        "[" * 9999 + "\n",
    ],
)
def test_resuming_leaves_foreign_files_alone(photos: list[Path], tmp_path: Path, jvcr: Run, text: str) -> None:
    (tmp_path / "notes.jsonl").write_text(text)
    done = jvcr("predict", *photos, "--resume", "--json", "notes.jsonl")
    assert done.returncode == 1
    assert "notes.jsonl: line 1 is no record that --resume can go on from" in done.stderr
    assert (tmp_path / "notes.jsonl").read_text() == text


def test_a_record_cannot_name_files_elsewhere(photos: list[Path], tmp_path: Path, jvcr: Run) -> None:
    assert jvcr("predict", photos[0]).returncode == 0
    lines = tmp_path / "jvcr-out" / "landmarks.jsonl"
    lines.write_text(lines.read_text().replace('"a_landmarks.jpg"', '"../b_landmarks.jpg"'))
    done = jvcr("predict", *photos, "--resume")
    assert done.returncode == 1
    assert "line 1 is no record" in done.stderr


def test_resuming_replaces_no_foreign_picture(photos: list[Path], tmp_path: Path, jvcr: Run) -> None:
    assert jvcr("predict", photos[0]).returncode == 0
    (tmp_path / "jvcr-out" / "b_landmarks.jpg").write_bytes(b"somebody's")
    done = jvcr("predict", *photos, "--resume")
    assert done.returncode == 1
    assert "b_landmarks.jpg: already exists" in done.stderr
    assert (tmp_path / "jvcr-out" / "b_landmarks.jpg").read_bytes() == b"somebody's"


@pytest.mark.parametrize("options", [["--resume", "--overwrite"], ["--resume", "--draw"], ["--resume", "--json", "-"]])
def test_resuming_needs_records(photos: list[Path], options: list[str], jvcr: Run) -> None:
    done = jvcr("predict", photos[0], *options)
    assert done.returncode == 1
    assert "--resume" in done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_goes_on(tmp_path: Path, jvcr: Run) -> None:
    photos = [tmp_path / f"{number:02}.png" for number in range(16)]
    for path in photos:
        write_image(path, astronaut())
    command = [sys.executable, "-m", "jvcr.cli.app", "predict", *map(str, photos), "--threads", "1"]
    lines = tmp_path / "jvcr-out" / "landmarks.jsonl"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        limit = time.monotonic() + 60
        while not (lines.exists() and lines.read_bytes().count(b"\n") > 2) and time.monotonic() < limit:
            time.sleep(0.01)
        running.kill()
    killed = lines.read_bytes()
    assert 2 < killed.count(b"\n") < 16
    done = jvcr("predict", *photos, "--resume", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(line)["image"] for line in lines.read_text().splitlines()) == list(map(str, photos))
    pictures = [path for path in (tmp_path / "jvcr-out").iterdir() if path.suffix == ".jpg"]
    assert len(pictures) == 16
    assert all(read_image(path).shape[2] == 3 for path in pictures)


# Whole, or not at all.


def test_a_full_disk_stops_the_run_with_whole_pictures(photos: list[Path], tmp_path: Path, jvcr: Run) -> None:
    """The second picture does not fit, and the third is not even tried."""
    write_image(photos[1], np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8))
    done = jvcr("predict", *photos, largest=60_000)
    assert done.returncode == 1
    assert "b_landmarks.jpg: cannot be written" in done.stderr
    assert "c.png" not in done.stdout + done.stderr
    out = tmp_path / "jvcr-out"
    assert sorted(path.name for path in out.iterdir()) == ["a_landmarks.jpg", "landmarks.jsonl"]
    assert read_image(out / "a_landmarks.jpg").shape[2] == 3
    again = jvcr("predict", *photos, "--resume")
    assert again.returncode == 0, again.stderr
    assert "1 of 3 photos are done already" in again.stderr
    assert [json.loads(line)["image"] for line in (out / "landmarks.jsonl").read_text().splitlines()] == [
        *map(str, photos)
    ]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, jvcr: Run) -> None:
    photos = [tmp_path / f"{number}.png" for number in range(3)]
    for path in photos:
        write_image(path, astronaut())
    done = jvcr("predict", *photos, "--json", "out.jsonl", largest=4000)
    assert done.returncode == 1
    assert "out.jsonl: cannot be written" in done.stderr
    (line,) = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    assert line.endswith(b"\n")
    assert json.loads(line)["image"] == str(photos[0])


def test_a_replaced_file_survives_a_full_disk(tmp_path: Path, jvcr: Run) -> None:
    write_image(tmp_path / "a.png", astronaut())
    (tmp_path / "out.jsonl").write_text("yesterday's\n")
    done = jvcr("predict", "a.png", "--json", "out.jsonl", "--overwrite", largest=1000)
    assert done.returncode == 1
    assert (tmp_path / "out.jsonl").read_text() == "yesterday's\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out.jsonl"]


class Full:
    """``os.write`` on a disk with so many bytes left."""

    def __init__(self, left: int) -> None:
        self.left, self.write = left, os.write

    def __call__(self, number: int, data: Any) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(number, memoryview(data)[: self.left])
        self.left -= written
        return written


def test_lines_are_taken_back_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl"
    lines = LineFile(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    monkeypatch.setattr(os, "write", Full(12))
    lines.write("12345678\n")
    with pytest.raises(CannotWrite, match=r"lines\.jsonl: cannot be written \(No space left on device\)") as raised:
        lines.write("abcdefgh\n")
    assert raised.value.errno == errno.ENOSPC
    assert path.read_text() == "12345678\n"
    monkeypatch.undo()
    lines.write("abcdefgh\n")
    lines.close()
    assert path.read_text() == "12345678\nabcdefgh\n"


def test_files_are_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    (tmp_path / "hard").hardlink_to(path)
    (tmp_path / "soft").symlink_to("file")
    with pytest.raises(OSError, match="boom"), files.written_whole(path) as file:
        file.write(b"ne")
        raise OSError(errno.ENOSPC, "boom")
    assert path.read_text() == "old"
    write_text(tmp_path / "soft", "new")
    # The link is still one, the other name keeps what it had, and the permissions are those of before.
    assert (tmp_path / "soft").is_symlink()
    assert (path.read_text(), (tmp_path / "hard").read_text()) == ("new", "old")
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "hard", "soft"]
    # Names may be as long as the disk allows.
    write_text(tmp_path / ("x" * 255), "long")


def test_a_new_file_is_created_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("old\n")
    with pytest.raises(ExistingResults), json_lines(tmp_path / "a.jsonl"):
        pass
    (tmp_path / "a.part.jsonl").write_text("of a killed run\n")
    with json_lines(tmp_path / "a.jsonl", overwrite=True) as lines:
        assert lines is not None
        lines.write("new\n")
        assert (tmp_path / "a.jsonl").read_text() == "old\n"
    assert (tmp_path / "a.jsonl").read_text() == "new\n"
    assert (tmp_path / "a.part.jsonl").read_text() == "of a killed run\n"


# Standard output.


@pytest.mark.skipif(os.name != "posix", reason="shells of POSIX")
@pytest.mark.parametrize(
    ("redirected", "code", "message"),
    [
        ("--json - >&-", "1", "standard output is closed"),
        ("--json - > /dev/full", "1", "standard output: cannot be written"),
        ("--json - | true", "141", ""),
        ("--json x.jsonl | true", "141", ""),
    ],
)
def test_standard_output_that_takes_nothing(
    photos: list[Path], tmp_path: Path, redirected: str, code: str, message: str
) -> None:
    command = (
        f"{sys.executable} -m jvcr.cli.app predict a.png b.png --threads 1 {redirected}; echo ${{PIPESTATUS[0]}} >&2"
    )
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    *said, last = done.stderr.strip().splitlines()
    assert last == code, done.stderr
    assert message in " ".join(said)
    assert bool(said) == bool(message)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="shells of POSIX")
def test_what_is_printed_goes_into_no_file(photos: list[Path], tmp_path: Path) -> None:
    """With standard output closed, the next file to be opened would get its number."""
    command = f"{sys.executable} -m jvcr.cli.app predict a.png b.png --threads 1 --json out.jsonl >&- 2>&-"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert [json.loads(line)["image"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        "a.png",
        "b.png",
    ]


def test_names_do_not_command_the_terminal(tmp_path: Path, jvcr: Run) -> None:
    name = "\x1b]0;owned\x07\x9b.png"
    write_image(tmp_path / name, BLANK)
    (tmp_path / "bad\x1b[2J.png").write_bytes(b"bad")
    done = jvcr("predict", name, "bad\x1b[2J.png", "--json", "out.jsonl")
    assert not {"\x1b", "\x07", "\x9b"} & set(done.stdout + done.stderr)
    assert r"\x1b]0;owned\x07" in done.stdout
    assert json.loads((tmp_path / "out.jsonl").read_text())["image"] == name


def test_the_demo_replaces_its_own_files_alone(tmp_path: Path, jvcr: Run) -> None:
    assert jvcr("demo").returncode == 0
    (tmp_path / "jvcr-demo" / "mine.txt").write_text("mine")
    (tmp_path / "jvcr-demo" / "astronaut.json").write_text("old")
    assert jvcr("demo").returncode == 0
    assert (tmp_path / "jvcr-demo" / "mine.txt").read_text() == "mine"
    assert len(json.loads((tmp_path / "jvcr-demo" / "astronaut.json").read_text())["faces"]) == 1
    assert len(list((tmp_path / "jvcr-demo").iterdir())) == 4


def test_a_training_does_not_replace_the_weights_it_starts_from(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "link.safetensors").hardlink_to(run / "model.safetensors")
    for name in ("run/model.safetensors", "link.safetensors"):
        done = CliRunner().invoke(
            app, ["train", "--data", str(tmp_path), "--out", str(run), "--init", str(tmp_path / name)]
        )
        said = f"{done.output} {done.exception}"
        assert "model.safetensors is " in said and "input" in said and "nothing was written" in said
        assert contents(run) == {"model.safetensors": b"weights"}
