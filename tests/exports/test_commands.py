"""``jvcr convert`` and ``jvcr predict --format``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner, Result

from jvcr.cli.app import app
from jvcr.data.formats.pts import read_pts
from jvcr.evaluate.predictions import read_predictions
from jvcr.images import write_image

BLANK = np.full((60, 80, 3), 90, np.uint8)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with one face, one with two, one with none, and what ``predict`` makes of them."""
    folder = tmp_path_factory.mktemp("predicted")
    photo = astronaut()[:300, 80:400]
    write_image(folder / "one.png", photo)
    write_image(folder / "two.png", np.hstack([photo, photo[:, ::-1]]))
    write_image(folder / "none.png", BLANK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        formats = [f"--format={name}" for name in ("obj", "glb", "pts", "csv", "coco", "npz")]
        done = run("predict", "one.png", "two.png", "none.png", "--json", "r.jsonl", "--threads", 1, *formats)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert "1 face left out: .pts holds the best-scoring face of each photo" in done.output
    return folder


@pytest.fixture
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # With their times of change, by which --resume knows the photos.
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_predict_writes_a_file_for_each_photo_or_one_for_all(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "jvcr-out").iterdir()) == [
        *("landmarks.csv", "landmarks.json", "landmarks.npz"),
        *("none.glb", "none.obj", "one.glb", "one.obj", "one.pts", "two.glb", "two.obj", "two.pts"),
    ]
    records = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    assert records[1]["written"] == ["two.obj", "two.glb", "two.pts"]
    assert records[2]["written"] == ["none.obj", "none.glb"]
    np.testing.assert_allclose(
        read_pts(folder / "jvcr-out" / "one.pts") - 1, np.array(records[0]["faces"][0]["landmarks"])[:, :2], atol=2e-3
    )
    assert read_predictions(folder / "jvcr-out" / "landmarks.npz").ids == ["one", "two", "none"]
    assert (folder / "jvcr-out" / "two.obj").read_text().count("\no face_") == 2


def test_convert_makes_the_same_tables(here: Path) -> None:
    done = run("convert", "r.jsonl", "again/landmarks.csv")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert (here / "again" / "landmarks.csv").read_bytes() == (here / "jvcr-out" / "landmarks.csv").read_bytes()


def test_convert_writes_a_folder_of_files_of_one_photo(here: Path) -> None:
    done = run("convert", "r.jsonl", "out.obj")
    assert "hold 3 photos or frames" in str(done.exception) and "--format obj" in str(done.exception)
    assert run("convert", "r.jsonl", "meshes", "--format", "obj").exit_code == 0
    assert sorted(path.name for path in (here / "meshes").iterdir()) == ["none.obj", "one.obj", "two.obj"]
    assert run("convert", "r.jsonl", "points", "--format", "pts").exit_code == 0
    assert sorted(path.name for path in (here / "points").iterdir()) == ["one.pts", "two.pts"]


def test_photos_of_one_name_get_different_files(here: Path) -> None:
    record = json.loads((here / "r.jsonl").read_text().splitlines()[0])
    rows = [record | {"image": name} for name in ("a/x.png", "b/x.png", "C:\\c\\X.png", "../..")]
    (here / "s.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert run("convert", "s.jsonl", "out", "--format", "ply").exit_code == 0
    # No name leads out of the folder.
    names = {str(path.relative_to(here)) for path in here.rglob("*.ply")}
    assert names == {"out/x.ply", "out/x_2.ply", "out/X_3.ply", "out/...ply"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["r.jsonl", "r.jsonl", "--format", "csv"], "itself one of the inputs"),
        (["r.jsonl", "link.csv"], "the same file as the input"),
        (["r.jsonl", "link.csv", "--overwrite"], "the same file as the input"),
        (["r.jsonl", "jvcr-out/landmarks.csv"], "already exists; nothing was written"),
        (["r.jsonl", "jvcr-out", "--format", "obj"], "already exists; nothing was written"),
        (["r.jsonl", "jvcr-out", "--format", "csv"], "is a folder"),
        (["r.jsonl", "new"], "give --format"),
        (["r.jsonl", "new.cvs"], "did you mean '.csv'"),
        (["none.jsonl", "new.pts"], "holds no face"),
        (["missing.jsonl", "new.csv"], "missing.jsonl"),
        (["one.png", "new.csv"], "one.png: line 1"),
        (["r.jsonl", "one.png/new.csv"], "is a file, not a folder"),
        (["r.jsonl", "new.csv", "--markup", "m.toml"], "m.toml"),
    ],
)
def test_what_convert_refuses(here: Path, arguments: list[str], reason: str) -> None:
    (here / "link.csv").hardlink_to(here / "r.jsonl")
    (here / "none.jsonl").write_text((here / "r.jsonl").read_text().splitlines()[2] + "\n")
    before = contents(here)
    done = run("convert", *arguments)
    assert done.exit_code != 0
    assert reason in f"{done.output} {done.exception}"
    assert contents(here) == before


def test_overwriting_replaces_the_file(here: Path) -> None:
    (here / "a.csv").write_text("old")
    assert run("convert", "r.jsonl", "a.csv", "--overwrite").exit_code == 0
    assert (here / "a.csv").read_bytes() == (here / "jvcr-out" / "landmarks.csv").read_bytes()


def test_predict_refuses_existing_exports(here: Path) -> None:
    (here / "jvcr-out" / "one.glb").unlink()
    before = contents(here)
    for name, found in (("obj", "one.obj"), ("csv", "landmarks.csv")):
        done = run("predict", "one.png", "--format", name)
        assert f"{found}: already exists" in str(done.exception)
    # A photo may be called like an export of another one.
    done = run("predict", "one.png", "--format", "glb", "--out", ".", "--boxes", "one.glb")
    assert done.exit_code != 0
    assert contents(here) == before


def test_resuming_makes_what_is_missing(here: Path) -> None:
    (here / "jvcr-out" / "two.obj").unlink()
    formats = [f"--format={name}" for name in ("obj", "glb")]
    done = run("predict", "one.png", "two.png", "none.png", "--json", "r.jsonl", "--threads", 1, "--resume", *formats)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert "2 of 3 photos are done already" in done.output
    assert (here / "jvcr-out" / "two.obj").is_file()
    done = run("predict", "one.png", "--json", "r.jsonl", "--resume", "--format", "csv")
    assert "jvcr convert r.jsonl OUT.csv" in str(done.exception)


def test_faces_of_a_markup_of_ones_own(here: Path) -> None:
    markup = """name = "two-eyes"
names = ["right", "left"]
normaliser = ["right", "left"]
mirror = [["right", "left"]]
"""
    (here / "m.toml").write_text(markup)
    face = {"box": [0, 0, 4, 5], "score": 0.5, "landmarks": [[0, 1, 2], [4, 5, 6]], "markup": "two-eyes"}
    (here / "own.jsonl").write_text(json.dumps({"image": "a.png", "width": 9, "height": 8, "faces": [face]}) + "\n")
    done = run("convert", "own.jsonl", "own.csv")
    assert "give its file with --markup FILE" in str(done.exception)
    assert run("convert", "own.jsonl", "own.csv", "--markup", "m.toml").exit_code == 0
    header, row = (here / "own.csv").read_text().splitlines()
    assert header.endswith("right_x,right_y,right_z,left_x,left_y,left_z")
    assert row == "a.png,9,8,1,0.5,0.0,0.0,4.0,5.0,,,,0.0,1.0,2.0,4.0,5.0,6.0"
    done = run("convert", "own.jsonl", "m.toml", "--markup", "m.toml", "--format", "csv", "--overwrite")
    assert "input" in str(done.exception) and (here / "m.toml").read_text() == markup
