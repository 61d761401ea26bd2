"""Other markups than the 68 points, from training to pictures, as a user runs them: no code knows N."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr import Face, Landmarker
from jvcr.cli.app import app
from jvcr.draw.landmarks import depth_colours, draw_faces
from jvcr.draw.page import write_html
from jvcr.images import write_image
from jvcr.markups.file import markup_from, write_markup
from jvcr.markups.markup import Markup
from jvcr.model.checkpoint import load_weights

FACE_BOX = [179.0, 87.0, 269.0, 178.0]

# No groups and no names: four points of the 68 and the middle of two.
NUMBERED = """
name = "mine"
n_points = 5
normaliser = [0, 1]
mirror = [[0, 1], [3, 4]]
[from]
ibug-68 = [36, 45, [30, 33], 48, 54]
"""


def jvcr(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def data(make_table: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    yaws = (5.0, -20.0, 45.0, -75.0, 10.0, 40.0, 70.0)
    return make_table(tmp_path_factory.mktemp("table"), yaws, ("train",) * 4 + ("val",) * 3)


def train(data: Path, out: Path, markup: object) -> str:
    run = ("--preset", "tiny", "--samples", 96, "--workers", 0, "--accelerator", "cpu")
    return jvcr("train", "--data", data, "--out", out, "--markup", markup, *run)


def test_training_on_a_markup_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(NUMBERED)
    assert "on 3 faces" in train(data, tmp_path, tmp_path / "mine.toml")
    model, header = load_weights(tmp_path / "model.safetensors")
    assert header.markup == markup_from(tmp_path / "mine.toml")
    assert model.config.n_points == header.markup.n_points == 5


@pytest.mark.parametrize("n_points", [21, 200])
@pytest.mark.slow
def test_from_the_table_to_pictures(n_points: int, data: Path, tmp_path: Path) -> None:
    markup = markup_from(str(n_points))
    assert "on 3 faces" in train(data, tmp_path / "run", n_points)
    model, header = load_weights(tmp_path / "run" / "model.safetensors")
    assert header.markup == markup
    assert model.coordinate.linear.weight.shape == (3 * n_points, 32)
    jvcr("export", tmp_path / "run" / "model.safetensors", tmp_path / "model.onnx")
    assert "on 3 faces" in jvcr("evaluate", "table", "--root", data, "--weights", tmp_path / "model.onnx")

    landmarker = Landmarker(tmp_path / "model.onnx", threads=1)
    assert landmarker.markup == markup
    (face,) = landmarker.predict(astronaut(), [FACE_BOX])
    assert face.landmarks.shape == (n_points, 3)
    drawn = draw_faces(np.zeros((900, 1300, 3), np.uint8), [face], boxes=False)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > len(np.unique(depth_colours(face.landmarks), axis=0)) / 2
    write_html(tmp_path / "face.html", astronaut(), [face], "face")
    page = (tmp_path / "face.html").read_text(encoding="utf-8")
    assert f"landmark {markup.labels[-1]}" in page

    values = json.loads(json.dumps(face.to_dict(names=True)))
    assert (values["markup"], len(values["names"]), len(values["landmarks"])) == (markup.name, n_points, n_points)
    again = Face.from_dict(values, markup)
    np.testing.assert_allclose(again.landmarks, face.landmarks, atol=6e-4)
    assert again.pose.yaw_deg == pytest.approx(values["pose"]["yaw_deg"], abs=0.05)
    with pytest.raises(ValueError, match=f"the face is of markup '{markup.name}', not 'ibug-68'"):
        Face.from_dict(values)

    write_image(tmp_path / "photo.png", astronaut()[30:230, 120:320])
    (tmp_path / "boxes.json").write_text(json.dumps({"photo.png": [[59, 57, 149, 148]]}))
    out = ("--out", tmp_path / "out", "--draw", "--html", "--json", tmp_path / "lines.jsonl")
    weights = ("--weights", tmp_path / "model.onnx", "--boxes", tmp_path / "boxes.json")
    assert "yaw" in jvcr("predict", tmp_path / "photo.png", *weights, *out)
    (line,) = (tmp_path / "lines.jsonl").read_text().splitlines()
    (face_values,) = json.loads(line)["faces"]
    assert (face_values["markup"], np.shape(face_values["landmarks"])) == (markup.name, (n_points, 3))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"photo_landmarks.jpg", "photo_3d.html"}


def test_a_markup_that_comes_from_nowhere_has_no_pose(tmp_path: Path) -> None:
    markup = Markup("four", 4, (1, 0, 2, 3), {}, frozenset(), (0, 1))
    (tmp_path / "four.toml").write_text('name = "four"\nn_points = 4\nnormaliser = [0, 1]\nmirror = [[0, 1]]\n')
    assert markup_from(tmp_path / "four.toml") == markup
    from jvcr import Box

    points = np.array([[1, 2, 3], [7, 2, 3], [4, 4, -2], [4, 9, 0]], np.float32)
    face = Face(points, Box(0, 0, 9, 9), 0.5, markup=markup)
    assert not face.has_pose
    assert list(face.to_dict()) == ["box", "score", "landmarks", "markup"]
    with pytest.raises(ValueError, match="markup 'four' has no head pose"):
        _ = face.pose
    # No line joins them: dots alone are drawn.
    assert draw_faces(np.zeros((12, 12, 3), np.uint8), [face]).max() > 0
    write_html(tmp_path / "four.html", np.zeros((12, 12, 3), np.uint8), [face], "four")


def test_markup_verb(tmp_path: Path) -> None:
    printed = jvcr("markup", "21", "--write", tmp_path / "copy.toml", "--draw", tmp_path / "21.png")
    assert "9 mirror pairs, 3 points on the middle line" in printed
    assert "normaliser: right_eye_outer to left_eye_outer" in printed
    assert markup_from(tmp_path / "copy.toml") == markup_from("21")
    assert (tmp_path / "21.png").stat().st_size > 1000
    refused = CliRunner().invoke(app, ["markup", "21", "--write", str(tmp_path / "copy.toml")])
    assert isinstance(refused.exception, ValueError)
    assert "already exists" in str(refused.exception)


def test_a_run_does_not_go_on_with_another_markup(data: Path, tmp_path: Path) -> None:
    run = ("--data", data, "--out", tmp_path / "run", "--preset", "tiny", "--samples", 64, "--workers", 0)
    jvcr("train", *run, "--markup", "21", "--minutes", 0)
    arguments = ["train", *run, "--markup", "66", "--minutes", 0]
    refused = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(refused.exception, ValueError)
    assert "markup" in str(refused.exception)
    write_markup(tmp_path / "same.toml", markup_from("21"))
    jvcr("train", *run, "--markup", tmp_path / "same.toml", "--minutes", 0)
