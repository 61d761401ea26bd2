"""The command line as users run it; in a process of its own where streams are the subject."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from jvcr.images import read_image, write_image

Run = Callable[..., subprocess.CompletedProcess[str]]
FACE_BOX = [179.0, 87.0, 269.0, 178.0]


def jvcr(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jvcr.cli.app", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    write_image(folder / "one.png", astronaut())
    write_image(folder / "two é.jpg", astronaut()[:, ::-1])
    return folder


def test_json_on_stdout_and_nothing_else(photos: Path) -> None:
    done = jvcr("predict", "one.png", "two é.jpg", "--json", "-", cwd=photos)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert list(first) == ["image", "width", "height", "faces"]
    assert (first["image"], first["width"], first["height"]) == ("one.png", 512, 512)
    assert second["image"] == "two é.jpg"
    (face,) = first["faces"]
    assert list(face) == ["box", "score", "landmarks", "pose", "expression", "visibility", "sigma_px", "reliable"]
    assert np.shape(face["landmarks"]) == (68, 3)
    assert set(face["pose"]) == {"yaw_deg", "pitch_deg", "roll_deg", "rotation"}
    assert sorted(p.name for p in photos.iterdir()) == ["one.png", "two é.jpg"]


def test_without_options_pictures_and_json_lines_are_written(photos: Path, run_jvcr: Run) -> None:
    done = run_jvcr("predict", "one.png", cwd=photos)
    assert done.returncode == 0, done.stderr
    assert "one.png: 1 face" in done.stdout
    out = photos / "jvcr-out"
    drawn = read_image(out / "one_landmarks.jpg")
    assert np.abs(drawn[90:180, 170:270].astype(int) - astronaut()[90:180, 170:270]).max() > 100
    assert len(json.loads((out / "landmarks.jsonl").read_text(encoding="utf-8"))["faces"]) == 1


def test_html_is_self_contained(photos: Path, run_jvcr: Run) -> None:
    done = run_jvcr("predict", "one.png", "--html", "--out", "pages", cwd=photos)
    assert done.returncode == 0, done.stderr
    page = (photos / "pages" / "one_3d.html").read_text(encoding="utf-8")
    assert "predicted volume" in page
    assert "<script src=" not in page


def test_a_folder_with_one_bad_file(photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    (photos / "notes.txt").write_text("not a photo, and not taken for one")
    done = jvcr("predict", ".", "--json", "-", cwd=photos)
    assert done.returncode == 1
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == ["one.png", "two é.jpg"]
    assert "bad.jpg" in done.stderr
    assert "1 failed, 2 done" in done.stderr
    assert "notes.txt" not in done.stderr


def test_a_glob_that_the_shell_left_alone(photos: Path, run_jvcr: Run) -> None:
    done = run_jvcr("predict", str(photos / "*.png"), "--json", "-", cwd=photos)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_photos_of_one_name_do_not_overwrite_each_other(photos: Path, run_jvcr: Run) -> None:
    write_image(photos / "one.jpg", astronaut()[:, ::-1])
    done = run_jvcr("predict", "one.png", "one.jpg", "--draw", "--out", "out", cwd=photos)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (photos / "out").iterdir()) == ["one_2_landmarks.jpg", "one_landmarks.jpg"]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_given_boxes(photos: Path, form: str, run_jvcr: Run) -> None:
    path = photos / f"boxes.{form}"
    rows = [FACE_BOX, [FACE_BOX[0] + 2, *FACE_BOX[1:]]]
    if form == "json":
        path.write_text(json.dumps({"one.png": rows}))
    else:
        path.write_text("image,x0,y0,x1,y1\n" + "\n".join(f"one.png,{','.join(map(str, r))}" for r in rows))
    done = run_jvcr("predict", "one.png", "two é.jpg", "--boxes", path, "--json", "-", cwd=photos)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert [face["box"] for face in first["faces"]] == rows
    assert second["faces"] == []


def test_boxes_for_no_photo_are_reported(photos: Path, run_jvcr: Run) -> None:
    # A byte order mark, as written by spreadsheets, is not part of the first name.
    (photos / "boxes.csv").write_text("\ufeffone.png,179,87,269,178\non.png,1,2,30,40\n", encoding="utf-8")
    done = run_jvcr("predict", "./one.png", "--boxes", "boxes.csv", "--json", "-", cwd=photos)
    assert done.returncode == 1
    assert "boxes.csv: on.png is none of the photos" in done.stderr
    assert len(json.loads(done.stdout)["faces"]) == 1


def test_results_never_overwrite_a_photo(photos: Path, run_jvcr: Run) -> None:
    write_image(photos / "one_landmarks.jpg", astronaut())
    before = (photos / "one_landmarks.jpg").read_bytes()
    done = run_jvcr("predict", "one.png", "one_landmarks.jpg", "--draw", "--out", ".", cwd=photos)
    assert done.returncode == 1
    assert "choose another --out" in done.stderr
    assert (photos / "one_landmarks.jpg").read_bytes() == before


def test_a_glob_skips_folders_and_a_bad_argument_costs_nothing_else(photos: Path, run_jvcr: Run) -> None:
    (photos / "folder").mkdir()
    done = run_jvcr("predict", "[of]*", "x" * 300, "--json", "-", cwd=photos)
    assert done.returncode == 1
    assert "1 failed, 1 done" in done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_file_name_that_is_no_text(photos: Path) -> None:
    (photos / "one.png").rename(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.png"))
    done = jvcr("predict", ".", "--draw", "--json", "out.jsonl", "--out", "out", cwd=photos)
    assert done.returncode == 0, done.stderr
    assert len((photos / "out.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("one.png,1,2,3\n", "line 1"),
        ("one.png,1,2,3,4\none.png,1,2,three,4\n", "line 2"),
        ("one.png,600,10,700,90\n", "outside the image"),
        ("one.png,nan,10,70,90\n", "not finite"),
    ],
)
def test_wrong_box_files_are_named(photos: Path, content: str, message: str, run_jvcr: Run) -> None:
    (photos / "boxes.csv").write_text(content)
    done = run_jvcr("predict", "one.png", "--boxes", "boxes.csv", "--json", "-", cwd=photos)
    assert done.returncode == 1
    assert message in done.stderr
    assert ("boxes.csv" if "line" in message else "one.png") in done.stderr


def test_missing_photo_and_missing_weights(photos: Path, run_jvcr: Run) -> None:
    done = run_jvcr("predict", "nowhere.jpg", "one.png", "--json", "-", cwd=photos)
    assert done.returncode == 1
    assert "nowhere.jpg: no such file" in done.stderr
    assert len(done.stdout.splitlines()) == 1
    done = run_jvcr("predict", "one.png", "--weights", "huge", cwd=photos)
    assert done.returncode == 1
    assert "'huge' are unknown" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_writes_its_three_results(tmp_path: Path) -> None:
    done = jvcr("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "jvcr-demo"
    assert sorted(p.name for p in out.iterdir()) == ["astronaut.json", "astronaut_3d.html", "astronaut_landmarks.jpg"]
    assert "yaw" in done.stdout
    assert len(json.loads((out / "astronaut.json").read_text())["faces"]) == 1


def test_version_and_help(tmp_path: Path) -> None:
    assert jvcr("--version", cwd=tmp_path).stdout.startswith("jvcr 0.")
    done = jvcr("--help", cwd=tmp_path)
    assert all(verb in done.stdout for verb in ("demo", "predict", "train", "evaluate", "export"))


def test_training_says_what_is_missing(tmp_path: Path, run_jvcr: Run) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    done = run_jvcr("train", "--data", tmp_path, "--out", tmp_path / "run", "--preset", "tiny", cwd=tmp_path)
    assert done.returncode == 1
    assert "labels.npz: no such file" in done.stderr
    done = run_jvcr("train", "--data", tmp_path, "--out", tmp_path / "run", "--preset", "larg", cwd=tmp_path)
    assert done.returncode == 1
    assert "preset 'larg' is unknown; did you mean 'large'?" in done.stderr
