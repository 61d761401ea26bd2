"""``jvcr data check``, the contact sheet and the network's second opinion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from skimage.data import astronaut
from typer.testing import CliRunner, Result

from jvcr.cli.app import app as jvcr_app
from jvcr.cli.data.check import check as check_command
from jvcr.data.doctor.check import check
from jvcr.data.doctor.contact_sheet import contact_sheet
from jvcr.data.doctor.entries import SampleSource, TableSource
from jvcr.data.doctor.opinion import ModelOpinion
from jvcr.data.sample import Sample
from jvcr.frames import Box, Crop
from jvcr.images import read_image, write_image
from jvcr.locate import locate
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

MakeTable = Callable[..., Path]
MakeHead = Callable[..., np.ndarray]
YAWS_DEG = (5.0, -20.0, 45.0, -75.0, 30.0)
GROUPS = np.array(["a", "b", "c", "d", "e"])

app = typer.Typer()
app.command()(check_command)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def clean(make_table: MakeTable, tmp_path: Path) -> Path:
    (tmp_path / "clean").mkdir()
    return make_table(tmp_path / "clean", YAWS_DEG, ["train"] * 3 + ["val"] * 2, group=GROUPS)


@pytest.fixture
def faulty(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> Path:
    """face1's z has the wrong sign, and the points of face2 are beyond the image's right edge in part."""
    points = np.stack([make_head(yaw) for yaw in YAWS_DEG]) * np.array([1, 1, -1], np.float32)
    points[1, :, 2] *= -1
    points[2, :, 0] += 38
    (tmp_path / "faulty").mkdir()
    return make_table(tmp_path / "faulty", YAWS_DEG, ["train"] * 3 + ["val"] * 2, points=points, group=GROUPS)


def test_a_clean_table(clean: Path) -> None:
    done = run(clean, "--strict")
    assert done.exit_code == 0, done.stdout
    assert "5 samples, 5 groups" in done.stdout
    assert "train 3, val 2" in done.stdout
    assert "100×90 5" in done.stdout
    assert done.stdout.endswith("no errors, no warnings\n")


def test_a_table_that_training_refuses_for_want_of_validation_rows(make_table: MakeTable, tmp_path: Path) -> None:
    done = run(make_table(tmp_path, YAWS_DEG, group=GROUPS))
    assert "warning no-validation-rows ×1" in done.stdout and "split (5 rows are train)" in done.stdout
    # A benchmark has neither.
    (tmp_path / "test").mkdir()
    done = run(make_table(tmp_path / "test", YAWS_DEG, ["test"] * 5, group=GROUPS), "--strict")
    assert done.exit_code == 0, done.stdout


def test_findings_on_stdout_and_as_json(faulty: Path, tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "report.json"
    done = run("table", faulty, "--json", target)
    assert done.exit_code == 1
    assert "error depth-sign ×1: z has the wrong sign" in done.stdout
    assert "    face1 (residual" in done.stdout
    assert "to do: negate z" in done.stdout
    assert done.stdout.endswith("1 errors, 1 warnings\n")
    report = json.loads(target.read_text(encoding="utf-8"))
    assert [(f["code"], f["severity"], f["count"]) for f in report["findings"]] == [
        ("depth-sign", "error", 1),
        ("point-outside-image", "warning", 1),
    ]
    assert [case["name"] for f in report["findings"] for case in f["cases"]] == ["face1", "face2"]
    assert report["counts"]["splits"] == {"train": 3, "val": 2}


def test_only_errors_fail_unless_strict(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    points = np.stack([make_head(yaw) for yaw in YAWS_DEG]) * np.array([1, 1, -1], np.float32)
    points[2, :, 0] += 38
    make_table(tmp_path, YAWS_DEG, points=points, group=GROUPS)
    assert run(tmp_path).exit_code == 0
    assert run(tmp_path, "--strict").exit_code == 1


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "bad-labels" in done.stdout
    assert "nowhere/labels.npz" in done.stdout


def test_against_another_table(clean: Path, tmp_path: Path) -> None:
    other = shutil.copytree(clean, tmp_path / "other")
    done = run(clean, "--against", f"table:{other}", "--show", 9)
    assert done.exit_code == 1
    assert "error duplicate-across-splits ×5" in done.stdout
    assert "face4 = face4" in done.stdout


def test_other_formats_go_through_their_reader(make_head: MakeHead, tmp_path: Path) -> None:
    for name, count in (("one", 68), ("two", 67)):
        write_image(tmp_path / f"{name}.png", np.random.default_rng(1).integers(0, 256, (90, 100, 3), np.uint8))
        lines = "\n".join(f"{x + 0.5} {y + 0.5}" for x, y, _ in make_head(10)[:count])
        (tmp_path / f"{name}.pts").write_text(f"version: 1\nn_points: {count}\n{{\n{lines}\n}}\n")
    done = run("pts", tmp_path, "--option", "base=0.5")
    assert done.exit_code == 1
    assert f"pts {tmp_path}: 1 samples" in done.stdout
    assert "two.pts" in done.stdout
    unknown = run("ptz", tmp_path)
    assert isinstance(unknown.exception, ValueError)
    assert "'ptz' is unknown; expected one of 300w-lp, 3dfaw" in str(unknown.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [(("base",), "--option base: expected KEY=VALUE"), (("base=1", "base=0"), "--option base is given more than once")],
)
def test_options_of_the_reader_are_checked(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = run("pts", tmp_path, *(word for option in options for word in ("--option", option)))
    assert done.exit_code == 1
    assert message in str(done.exception)


@pytest.mark.parametrize("name", ["check", "convert", "turn"])
def test_every_sub_command_has_a_help_page(name: str) -> None:
    done = CliRunner().invoke(jvcr_app, ["data", name, "--help"])
    assert done.exit_code == 0 and f"data {name} [OPTIONS]" in done.stdout


def test_contact_sheet(faulty: Path, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    run(faulty, "--sheet", target)
    sheet = read_image(target)
    # Two lines of text, then two parts, each a line of text and one row of cells of 220 px with a caption of 50 px.
    assert sheet.shape == (2 * 24 + 2 * (24 + 270), 8 * 226, 3)
    faults, rest = sheet[72:292], sheet[72 + 294 : 292 + 294]
    # Frames: red around the error, orange around the warning, none in the sample of the rest.
    assert faults[3, 100].tolist() == [220, 30, 30]
    assert faults[3, 226 + 100].tolist() == [230, 140, 0]
    assert rest[3, 100].tolist() not in ([220, 30, 30], [230, 140, 0])
    # Three cells in the second row, of face0, face3 and face4: the fourth place is empty.
    assert (rest[:, 3 * 226 : 4 * 226 - 6] == 255).all()
    assert not (rest[:, 2 * 226 : 3 * 226 - 6] == 255).all()


def test_the_sheet_shows_what_has_no_image(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, YAWS_DEG, id=np.array(["face0", "lost é", "face2", "face3", "face4"]), group=GROUPS)
    source = TableSource(tmp_path)
    sheet = contact_sheet(check(source), source)
    assert (sheet[72 + 10 : 72 + 200, 10:200] == 70).all()


def test_the_sheet_draws_labels_that_are_not_finite(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    points = np.stack([make_head(yaw) for yaw in YAWS_DEG])
    points[0, 30] = np.nan
    points[1, 30, 2] = np.inf
    points[2, 30, 0] = -1e30
    points[3] = np.nan
    make_table(tmp_path, YAWS_DEG, points=points, group=GROUPS)
    source = TableSource(tmp_path)
    report = check(source)
    not_finite = report.of("not-finite")
    assert not_finite is not None
    assert sorted(not_finite.names) == ["face0", "face1", "face3"]
    assert contact_sheet(report, source).shape[1] == 8 * 226


@pytest.fixture(scope="module")
def runtime() -> OnnxRuntime:
    return OnnxRuntime(weights_path("small"), 1)


@pytest.fixture(scope="module")
def face(runtime: OnnxRuntime) -> Sample:
    """The astronaut, labelled by the network itself, in a cut in which the face is left of the middle."""
    image = np.ascontiguousarray(astronaut()[40:240, 140:340])
    box = Box(39, 47, 129, 138)
    for _ in range(3):
        points = locate(runtime, image, [Crop.from_box(box, runtime.image_size)])[0].points_img
        box = Box.around(points)
    return Sample("astronaut", image, points)


@pytest.mark.parametrize("flip", [False, True])
def test_an_image_that_was_flipped_without_its_label(runtime: OnnxRuntime, face: Sample, flip: bool) -> None:
    sample = replace(face, image=np.ascontiguousarray(face.image[:, ::-1])) if flip else face
    # Nothing is wrong with the landmarks themselves.
    assert check(SampleSource({"": [sample]})).findings == ()
    report = check(SampleSource({"": [sample]}), opinion=ModelOpinion(runtime))
    assert [(f.code, f.names) for f in report.findings] == ([("mirrored-image", ["astronaut"])] if flip else [])


def test_a_label_that_lies_beside_the_face(runtime: OnnxRuntime, face: Sample) -> None:
    # The face has moved down by 30 of its 90 px, and the label has not.
    image = np.roll(face.image, 30, axis=0)
    opinion = ModelOpinion(runtime)
    report = check(SampleSource({"": [replace(face, image=image)]}), opinion=opinion)
    assert [(f.code, f.names) for f in report.findings] == [("model-disagrees", ["astronaut"])]
    assert opinion.nme[0] > 0.15


def test_labels_with_another_pixel_base(runtime: OnnxRuntime, face: Sample) -> None:
    shifted = replace(face, points_img=face.points_img + np.array([1, 1, 0], np.float32))
    report = check(
        SampleSource({"": [replace(shifted, name=f"{i}") for i in range(20)]}),
        duplicates=False,
        opinion=ModelOpinion(runtime),
    )
    (finding,) = report.findings
    assert finding.code == "label-offset"
    x, y = (float(v) for v in finding.cases[0].detail.split("(")[1].split(")")[0].split(","))
    assert x == pytest.approx(-1, abs=0.3)
    assert y == pytest.approx(-1, abs=0.3)
    assert report.exit_code(strict=True) == 0


def test_samples_without_the_networks_landmarks_are_named(runtime: OnnxRuntime, face: Sample) -> None:
    points = face.points_img.copy()
    points[5] = np.nan
    report = check(SampleSource({"": [replace(face, points_img=points)]}), opinion=ModelOpinion(runtime))
    (finding,) = report.findings
    assert finding.code == "not-judged"
    assert "1 samples were not compared: not all landmarks are marked" in finding.cases[0].detail


def test_the_option_with_model(clean: Path) -> None:
    # The drawings are no photographs: the network need not agree, but every row gets its opinion or a finding.
    done = run(clean, "--with-model")
    assert "5 samples" in done.stdout
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit)
