"""``jvcr figure`` on the astronaut photograph, with and without boxes and true landmarks, and on bad input."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.cli.figure import _examples
from jvcr.extras import MissingExtra
from jvcr.frames import Box, Crop
from jvcr.images import extract, read_image, write_image
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

pytest.importorskip("matplotlib", reason="figures need matplotlib (extra: train)")

FACE_BOX = [179.0, 87.0, 269.0, 178.0]
CELL_PX = 290
"""1.45 inches at 200 dots an inch."""


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "one.png", astronaut())
    (tmp_path / "boxes.json").write_text(json.dumps({"one.png": [FACE_BOX]}))
    return tmp_path / "one.png"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["figure", *map(str, arguments)])


def test_results_of_the_astronaut(photo: Path) -> None:
    done = run(5, "one.png", "--boxes", "boxes.json", "--out", "new/five.png")
    assert done.exit_code == 0, done.output
    assert done.output == "new/five.png: figure 5, 1 face\n"
    picture = read_image("new/five.png")
    # Margin 0.3, one cell, 0.06 at either side.
    assert picture.shape[1] == pytest.approx(1.42 * CELL_PX, abs=1)
    left, top = round(0.36 * CELL_PX), round(0.04 * CELL_PX)
    shown = picture[top : top + CELL_PX, left : left + CELL_PX].astype(int)
    expected = extract(astronaut(), Crop.from_box(Box(*FACE_BOX), CELL_PX)).astype(int)
    assert np.abs(shown - expected)[10:-10, 10:-10].mean() < 8
    # Volume and shape below it are coloured; the side margins are white.
    for row in (1, 2):
        y = round((0.04 + 1.04 * row) * CELL_PX)
        cell = picture[y : y + CELL_PX, left : left + CELL_PX].astype(int)
        assert (np.ptp(cell, axis=2) > 60).mean() > 0.01
        assert (picture[y : y + CELL_PX, :10] == 255).all()


def test_every_photo_is_a_column_and_found_faces_need_no_boxes(photo: Path) -> None:
    write_image(Path("mirrored.png"), astronaut()[:, ::-1])
    done = run(5, "one.png", "mirrored.png", "--out", "two.png")
    assert done.exit_code == 0, done.output
    assert read_image("two.png").shape[1] == pytest.approx((1.42 + 1.04) * CELL_PX, abs=1)


def test_pipeline_with_all_volumes(photo: Path) -> None:
    pytest.importorskip("torch", reason="figure 2 needs PyTorch (extra: train)")
    done = run(2, "one.png", "--boxes", "boxes.json")
    assert done.exit_code == 0, done.output
    # Three cells with 0.54 between and after them, 1.08 to the last, and the sides.
    assert read_image("figure_2.png").shape[1] == pytest.approx((3 * 1.54 + 1.08 + 1 + 0.12) * CELL_PX, abs=1)


@pytest.mark.parametrize("ending", ["pdf", "svg"])
def test_other_formats_by_ending(photo: Path, ending: str) -> None:
    done = run(4, "one.png", "--boxes", "boxes.json", "--out", f"four.{ending}")
    assert done.exit_code == 0, done.output
    start = Path(f"four.{ending}").read_bytes()[:200]
    assert start.startswith(b"%PDF") if ending == "pdf" else b"<?xml" in start


def test_true_landmarks_bring_boxes_and_their_volume(photo: Path) -> None:
    points = np.random.default_rng(1).uniform((179, 87, -40), (269, 178, 40), (68, 3))
    record = {"image": "one.png", "faces": [{"landmarks": points.tolist()}]}
    Path("true.jsonl").write_text(json.dumps(record))
    done = run(4, "one.png", "--landmarks", "true.jsonl", "--out", "labelled.png")
    assert done.exit_code == 0, done.output
    box = Box.around(points)
    Path("same.json").write_text(json.dumps({"one.png": [box.to_list()]}))
    assert run(4, "one.png", "--boxes", "same.json", "--out", "unlabelled.png").exit_code == 0
    labelled, unlabelled = read_image("labelled.png").astype(int), read_image("unlabelled.png").astype(int)
    # The landmarks' volume, two cells from 2.24 on. The volume of random points is not a face.
    columns = slice(round(2.3 * CELL_PX), round(4.3 * CELL_PX))
    rows = slice(round(0.4 * CELL_PX), round(1.3 * CELL_PX))
    assert np.abs(labelled - unlabelled)[rows, columns].mean() > 5


def test_true_landmarks_in_the_unit_frame_by_hand() -> None:
    runtime = OnnxRuntime(weights_path("small"), threads=1)
    points = np.full((68, 3), 120.0)
    points[0], points[1] = (100, 110, 0), (200, 160, 40)
    # The box is 100 × 50, its centre (150, 135), the crop's side 160 px.
    (example,) = _examples("one", astronaut(), runtime, [Box.around(points)], [points])
    assert example.true_unit is not None
    assert example.true_unit[0] == pytest.approx((0.5 - 50 / 160, 0.5 - 25 / 160, 0.5))
    assert example.true_unit[1] == pytest.approx((0.5 + 50 / 160, 0.5 + 25 / 160, 0.75))
    with pytest.raises(ValueError, match=r"one: its true landmarks have shape \(66, 3\); expected \(68, 3\)"):
        _examples("one", astronaut(), runtime, [Box.around(points)], [points[:66]])


def test_a_bad_photo_costs_nothing_else(photo: Path) -> None:
    Path("bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    write_image(Path("wall.png"), np.full((90, 120, 3), 128, np.uint8))
    done = run(5, "bad.jpg", "wall.png", "one.png", "--out", "rest.png")
    assert done.exit_code == 1
    assert "rest.png: figure 5, 1 face" in done.output
    assert "bad.jpg" in done.output and "wall.png: no face found" in done.output and "2 failed" in done.output
    assert read_image("rest.png").shape[1] == pytest.approx(1.42 * CELL_PX, abs=1)


def test_a_photo_without_a_given_box_is_named(photo: Path) -> None:
    write_image(Path("other.png"), astronaut())
    done = run(5, "other.png", "--boxes", "boxes.json", "--out", "none.png")
    assert done.exit_code == 1
    assert "other.png: no face is given for it" in done.output and "one.png is none of the photos" in done.output
    assert not Path("none.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "five.gif"], "five.gif: expected a name that ends in .png, .pdf, .svg"),
        (["--out", "one.png"], "one.png is itself one of the inputs"),
        (["--weights", "huge"], "'huge' are unknown"),
        (["--boxes", "boxes.json", "--landmarks", "true.jsonl"], "both given"),
        (["--landmarks", "true.jsonl"], "true.jsonl: line 2"),
        (["--landmarks", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
    ],
)
def test_errors_before_any_work(photo: Path, arguments: list[str], message: str) -> None:
    Path("true.jsonl").write_text('{"image": "one.png", "faces": []}\n{"image": "two.png", "faces": [{}]}\n')
    before = photo.read_bytes()
    done = run(5, "one.png", *arguments)
    assert done.exit_code == 1
    assert message in str(done.exception)
    assert photo.read_bytes() == before


def test_an_onnx_file_alone_does_not_know_the_first_volumes(photo: Path) -> None:
    shutil.copy(weights_path("small"), "own.onnx")
    done = run(2, "one.png", "--boxes", "boxes.json", "--weights", "own.onnx")
    assert isinstance(done.exception, ValueError)
    assert "own.onnx gives the last volume only" in str(done.exception) and "own.safetensors" in str(done.exception)
    assert run(4, "one.png", "--boxes", "boxes.json", "--weights", "own.onnx").exit_code == 0


def test_missing_packages_are_named(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for name in ("jvcr.model.checkpoint", "jvcr.model.jvcr", "jvcr.runtime.pytorch"):
            patch.delitem(sys.modules, name, raising=False)
        patch.setitem(sys.modules, "torch", None)
        done = run(2, "one.png", "--boxes", "boxes.json")
    assert isinstance(done.exception, MissingExtra) and '".[train]"' in str(done.exception)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = run(5, "one.png", "--boxes", "boxes.json")
    assert isinstance(done.exception, MissingExtra) and "matplotlib" in str(done.exception)
    assert not Path("figure_5.png").exists()
