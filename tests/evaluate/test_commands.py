"""``jvcr evaluate``, as its commands are called."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import jvcr
from jvcr.cli.app import app
from jvcr.data.formats.aflw2000 import aflw_yaws
from jvcr.data.sample import Sample
from jvcr.evaluate.aflw2000_truth import read_truth
from jvcr.evaluate.predictions import PredictionSet, read_predictions, write_predictions
from jvcr.evaluate.run_network import Detected, Predictions
from jvcr.frames import CROP_RULE, Box
from jvcr.markups.markup import MARKUP_68, Markup, subset
from jvcr.runtime.confidence import Confidence

Evaluate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def evaluate(run_jvcr: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Evaluate:
    """Run ``jvcr evaluate`` in this process."""
    return lambda *arguments: run_jvcr("evaluate", *arguments, cwd=tmp_path)


@pytest.fixture(scope="module")
def peers(benchmark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One that finds all faces, 5 px off; one without depth that misses two and is perfect."""
    truth = read_truth(benchmark_folder)
    folder = tmp_path_factory.mktemp("peers")
    off = truth.original_img + np.array([3, 4, 0], np.float32)
    about = {"tool": "ruler", "version": "2", "boxes": "true boxes"}
    write_predictions(folder / "ruler.npz", PredictionSet(truth.names, off, about=about))
    write_predictions(folder / "flat.jsonl", PredictionSet(truth.names[2:], truth.original_img[2:, :, :2].copy()))
    return [folder / "ruler.npz", folder / "flat.jsonl"]


def test_the_whole_report_of_the_weights(benchmark_folder: Path, tmp_path: Path, evaluate: Evaluate) -> None:
    pytest.importorskip("plotly", reason="plotly comes with the extra demo")
    out, saved = tmp_path / "out", tmp_path / "saved" / "ours.npz"
    done = evaluate(
        *("aflw2000-3d", "--root", benchmark_folder, "--out", out, "--save-predictions", saved),
        *("--worst", 3, "--draws", 100, "--threads", 1),
    )
    assert done.returncode == 0, done.stderr
    assert "5 images" in done.stdout and "2 / 2 / 1 by fitted yaw" in done.stdout
    record = json.loads((out / "report.json").read_text())
    assert [(s["name"], s["boxes"]) for s in record["systems"]] == [
        ("jvcr small", "true boxes"),
        ("jvcr small", "the detector's boxes"),
    ]
    assert record["systems"][0]["missed"] == 0
    assert record["names"] == [f"image{7 * i:05d}" for i in range(5)]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=.(?!data:)", page)
    # plotly itself is there once.
    assert page.count("plotly.js v") == 1
    assert "not measurable: file not given" in (out / "report.md").read_text(encoding="utf-8")
    # What was saved scores the same again.
    truth_boxes = read_predictions(saved)
    assert truth_boxes.about["boxes"] == "true boxes" and truth_boxes.boxes is not None
    assert read_predictions(saved.with_name("ours-detector.npz")).about["boxes"] == "the detector's boxes"
    again = evaluate(
        "aflw2000-3d", "--root", benchmark_folder, "--predictions", saved, "--json", tmp_path / "a.json", "--draws", 100
    )
    assert again.returncode == 0, again.stderr
    (system,) = json.loads((tmp_path / "a.json").read_text())["systems"]
    assert system["cells"] == record["systems"][0]["cells"]
    assert system["name"] == f"jvcr small {jvcr.__version__}"


def test_peers_side_by_side(benchmark_folder: Path, peers: list[Path], tmp_path: Path, evaluate: Evaluate) -> None:
    report = tmp_path / "report.json"
    options = ("--draws", 100, "--json", report)
    done = evaluate(
        "aflw2000-3d", "--root", benchmark_folder, "--predictions", peers[0], "--predictions", peers[1], *options
    )
    assert done.returncode == 0, done.stderr
    assert "2 images are not in the file and count as missed; no depth" in done.stdout
    assert re.search(
        r"flat +boxes not stated +original +– +0\.00 +0\.00 .*not measurable: no depth +2 of 5", done.stdout
    )
    record = json.loads(report.read_text())
    first, second = record["common"]
    assert first["nme"]["table"]["counts"] == [0, 2, 1]
    assert second["gte"] == "not measurable: no depth"
    # From the report to the paper's tables, without measuring again.
    done = evaluate("paper", "--results", report)
    assert done.returncode == 0, done.stderr
    for numeral in ("I", "II", "III", "IV"):
        assert f"Table {numeral}: " in done.stdout
    assert re.search(r"ruler 2, true boxes +8\.33 +measured here \(report\.json", done.stdout)
    assert re.search(r"JVCR, the paper +2\.94 +3\.46 +4\.53 +3\.64 +0\.81 +published", done.stdout)


def test_views_of_the_weights(make_table: Callable[..., Path], tmp_path: Path, evaluate: Evaluate) -> None:
    names, sources = ["ann_0", "ann_1", "ann_2"], np.array(["300wlp-ibug"] * 3)
    folder = make_table(tmp_path, (0.0, 40.0, -70.0), ["val"] * 3, names=names, source=sources)
    done = evaluate("views", "--root", folder, "--boxes", "true", "--json", tmp_path / "views.json", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "1 faces in 3 views" in done.stdout
    whole, less = json.loads((tmp_path / "views.json").read_text())["systems"]
    assert (whole["n_points"], less["n_points"], whole["pairs"]) == (68, 66, 6)
    # The validation rows of the same table, as before.
    done = evaluate("table", "--root", folder, "--json", tmp_path / "table.json", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("validation rows: NME ") and "on 3 faces, 68 points (ibug-68)" in done.stdout
    rows = json.loads((tmp_path / "table.json").read_text())["validation rows"]
    assert (rows["faces"], rows["n_points"]) == (3, 68)


def test_an_empty_bin_is_null_in_json(make_table: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_table(tmp_path, (0.0, 10.0), ["val"] * 2)
    target = str(tmp_path / "new" / "table.json")
    result = CliRunner().invoke(app, ["evaluate", "table", "--root", str(folder), "--json", target, "--threads", "1"])
    assert result.exit_code == 0, result.exception
    text = Path(target).read_text()
    assert "NaN" not in text and json.loads(text)["validation rows"]["nme"]["bins"][1:] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("aflw2000-3d", "--root", "here", "--save-predictions", "a.csv"), "expected an ending .npz or .jsonl"),
        (
            ("views", "--root", "here", "--weights", "a", "--weights", "b", "--save-predictions", "a.npz"),
            "--save-predictions takes one --weights, not 2",
        ),
        (
            ("expression", "--root", "here", "--predictions", "p.npz", "--save-predictions", "a.npz"),
            "--save-predictions takes one --weights, not 0",
        ),
        (("aflw2000-3d", "--root", "nowhere"), "nowhere: no image*.mat"),
        (("aflw2000-3d", "--root", "nowhere", "--without", "no.txt"), "no.txt: no such file; expected names of images"),
        (("paper", "--root", "nowhere"), "nowhere: neither AFLW2000-3D"),
        (("paper", "--weights", "small"), "are for what --root holds; give --root"),
        (("table", "--root", "a", "--weights", "smal"), "weights 'smal' are unknown"),
        (
            ("table", "--root", "a", "--weights", "my.safetensors"),
            "my.safetensors: these are training weights; run",
        ),
    ],
)
def test_wrong_arguments_are_explained(arguments: tuple[str, ...], message: str) -> None:
    # In this process: what is tested is the message, and every process costs a second.
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 1
    assert message in str(result.exception)


RUNTIME = {"backend", "device", "precision", "threads"}
FILES = {"root", "out", "json"}
LOOKS = {"mirror", "refine"}
SYSTEMS = {"weights", "predictions", "boxes", "save-predictions", "detector", "detect-size"} | LOOKS | RUNTIME
OPTIONS = {
    "aflw2000-3d": FILES
    | SYSTEMS
    | {"aflw-yaw", "aflw-yaw-names", "pixel-base", "limit", "draws", "seed", "worst"}
    | {"without"},
    "expression": FILES | SYSTEMS | {"hand", "worst", "without"},
    "views": FILES | SYSTEMS | {"draws", "seed"},
    "table": FILES | {"weights"} | LOOKS | RUNTIME,
    "robustness": FILES | {"weights", "limit", "seed"} | LOOKS | RUNTIME,
    "confidence": FILES | {"weights", "hand", "without"} | LOOKS | RUNTIME,
    "detect": FILES | {"weights", "without", "half", "detector", "detect-size", "worst"} | RUNTIME,
    "paper": FILES | SYSTEMS - {"save-predictions"} | {"results", "pixel-base", "without", "draws", "seed"},
}
"""Everything that a benchmark uses, and nothing that it could only ignore."""


def test_a_group_of_benchmarks() -> None:
    result = CliRunner().invoke(app, ["evaluate"])
    assert all(name in result.output for name in OPTIONS) and "multi-view" not in result.output
    assert not isinstance(result.exception, Exception)
    result = CliRunner().invoke(app, ["evaluate", "afwl"])
    assert result.exit_code == 2 and "No such command 'afwl'" in result.output


@pytest.mark.parametrize("name", OPTIONS)
def test_every_benchmark_has_its_own_options_alone(name: str) -> None:
    help_page = CliRunner().invoke(app, ["evaluate", name, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert help_page.exit_code == 0
    command = typer.main.get_command(app).commands["evaluate"].commands[name]  # type: ignore[attr-defined]
    own = {option.removeprefix("--") for parameter in command.params for option in parameter.opts}
    assert own - {"help"} == OPTIONS[name]
    for option in set().union(*OPTIONS.values()):
        assert (f"--{option} " in help_page.output or f"--{option}\n" in help_page.output) == (option in own), option
    # An option of another benchmark is unknown here, and the root is needed but for the published tables.
    for other in sorted(set().union(*OPTIONS.values()) - own):
        result = CliRunner().invoke(app, ["evaluate", name, "--root", "a", f"--{other}", "1"])
        assert result.exit_code == 2 and f"No such option: --{other}" in result.output
    if name != "paper":
        result = CliRunner().invoke(app, ["evaluate", name])
        assert result.exit_code == 2 and "Missing option '--root'" in result.output


def test_the_old_name_of_views() -> None:
    result = CliRunner().invoke(app, ["evaluate", "multi-view", "--root", "nowhere", "--boxes", "true"])
    assert result.exit_code == 1
    assert "labels.npz: no such file; expected a training table" in str(result.exception)


def test_paper_without_data(tmp_path: Path, evaluate: Evaluate) -> None:
    done = evaluate("paper", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert re.search(r"JVCR, the paper +2\.94 +3\.46 +4\.53 +3\.64 +0\.81 +published", done.stdout)
    assert re.search(r"jvcr( +not measured){5} +not measured: give --root with AFLW2000-3D, or --results", done.stdout)
    assert "not measurable here: the test labels of 3DFAW are not public" in done.stdout
    assert len(json.loads((tmp_path / "out" / "report.json").read_text())["tables"]) == 4
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8").count("### Table ") == 4


def test_the_published_tables_need_no_extra() -> None:
    script = "from jvcr.paper import tables\nprint(tables.evaluate().to_text())\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    text, _, loaded = done.stdout.rstrip().rpartition("\n")
    assert "Table IV: AFLW2000-3D" in text
    assert not {"scipy", "torch", "plotly", "jinja2", "matplotlib"} & set(loaded.split())


def test_images_are_left_out(benchmark_folder: Path, peers: list[Path], tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("image00007\nimage00028\n")
    arguments = ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--predictions", str(peers[0])]
    arguments += ["--draws", "100", "--json", str(tmp_path / "a.json"), "--without", str(tmp_path / "names.txt")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["names"] == ["image00000", "image00014", "image00021"]
    assert "3 images" in result.stdout and "2 of its ids match no image" in result.stdout
    (tmp_path / "names.txt").write_text("image00007\nimage7\n")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "1 of the 2 images to exclude are not in it, e.g. image7" in str(result.exception)


def test_predictions_of_other_photos_are_refused(benchmark_folder: Path, tmp_path: Path) -> None:
    write_predictions(tmp_path / "other.npz", PredictionSet(["cat"], np.ones((1, 68, 3))))
    other = str(tmp_path / "other.npz")
    result = CliRunner().invoke(
        app, ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--predictions", other]
    )
    assert result.exit_code == 1
    assert "other.npz: none of its 1 ids is the name of one of the 5 photos" in str(result.exception)


class MustNotPredict:
    def __init__(self, *_: object, **__: object) -> None:
        raise AssertionError("predicted before the files were checked")


@pytest.mark.parametrize(("backend", "precision"), [("openvino", "bf16"), ("torch", "fp32")])
def test_any_backend_is_scored(make_table: Callable[..., Path], tmp_path: Path, backend: str, precision: str) -> None:
    pytest.importorskip("openvino" if backend == "openvino" else "torch")
    folder = make_table(tmp_path, (5.0, 45.0, -75.0), splits=["val"] * 3)
    means = []
    for name, arguments in (("default", []), ("other", ["--backend", backend, "--precision", precision])):
        command = ["evaluate", "table", "--root", str(folder), "--json", str(tmp_path / name), *arguments]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.exception
        means.append(json.loads((tmp_path / name).read_text())["validation rows"]["nme"]["image_mean"])
    assert means[1] == pytest.approx(means[0], rel=0.02)


def test_predictions_are_checked_before_the_weights_work(
    benchmark_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_predictions(tmp_path / "other.npz", PredictionSet(["cat"], np.ones((1, 68, 3))))
    monkeypatch.setattr("jvcr.evaluate.systems.open_backend", MustNotPredict)
    arguments = ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--weights", "small"]
    result = CliRunner().invoke(app, [*arguments, "--predictions", str(tmp_path / "other.npz")])
    assert "other.npz: none of its 1 ids" in str(result.exception)


def test_folders_are_made_and_outputs_are_checked_first(
    benchmark_folder: Path, peers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("plotly", reason="plotly comes with the extra demo")
    arguments = ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--predictions", str(peers[0])]
    arguments += ["--draws", "100", "--worst", "0", "--out", str(tmp_path / "out")]
    new = tmp_path / "new" / "folder" / "a.json"
    result = CliRunner().invoke(app, [*arguments, "--json", str(new)])
    assert result.exit_code == 0, result.exception
    assert json.loads(new.read_text())["n_points"] == 68
    # Where the one file cannot be written, nothing is begun.
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    (tmp_path / "taken").mkdir()
    result = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "taken")])
    assert result.exit_code != 0
    assert "taken: is a folder" in str(result.exception)
    assert not list((tmp_path / "out").iterdir())


def test_yaws_in_the_order_of_a_list_of_names(benchmark_folder: Path, peers: list[Path], tmp_path: Path) -> None:
    np.save(tmp_path / "yaw.npy", np.array([70.0, 80, 10, 1, 2, 50]))
    names = [f"image{7 * i:05d}" for i in (4, 3, 2, 1, 0, 9)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    arguments = ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--predictions", str(peers[0])]
    arguments += ["--aflw-yaw", str(tmp_path / "yaw.npy"), "--json", str(tmp_path / "a.json"), "--draws", "100"]
    result = CliRunner().invoke(app, [*arguments, "--aflw-yaw-names", str(tmp_path / "names.txt")])
    assert result.exit_code == 0, result.exception
    assert json.loads((tmp_path / "a.json").read_text())["yaw_deg"]["AFLW"] == [2, 1, 10, 80, 70]
    result = CliRunner().invoke(app, [*arguments, "--aflw-yaw-names", str(tmp_path / "no.txt")])
    assert "no.txt: no such file; expected the names" in str(result.exception)


def test_yaws_in_radians_are_refused(tmp_path: Path) -> None:
    names = [f"image{i:05d}" for i in range(11)]
    for count, largest, fine in ((11, 3.1, False), (11, 3.3, True), (10, 1.5, True)):
        np.save(tmp_path / "yaw.npy", np.linspace(-largest, 0, count))
        if fine:
            assert len(aflw_yaws(tmp_path, names[:count], tmp_path / "yaw.npy")) == count
        else:
            with pytest.raises(
                ValueError, match=r"yaw\.npy: the largest \|yaw\| of 11 images is 3\.1; expected degrees"
            ):
                aflw_yaws(tmp_path, names[:count], tmp_path / "yaw.npy")


def test_systems_without_a_common_markup_are_refused_before_the_weights_work(
    benchmark_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    five = Markup("five", 5, (1, 0, 2, 3, 4), {}, frozenset(), (0, 1))
    points = np.random.default_rng(0).normal(size=(5, 5, 3))
    names = read_truth(benchmark_folder).names
    write_predictions(tmp_path / "five.npz", PredictionSet(names, points, markup=five))

    def predict(*_: object, **__: object) -> None:
        raise AssertionError("predicted before the markups were compared")

    monkeypatch.setattr("jvcr.evaluate.systems.predict_samples", predict)
    arguments = ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--weights", "small"]
    result = CliRunner().invoke(app, [*arguments, "--predictions", str(tmp_path / "five.npz")])
    assert "landmarks of ibug-68, five and labels of ibug-68 have no markup in common" in str(result.exception)


def test_the_benchmark_crops_around_the_weights_own_landmarks(
    benchmark_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = subset(MARKUP_68, tuple(range(17, 68)), "no-jaw")
    truth = read_truth(benchmark_folder)
    seen: dict[str, list[Box]] = {}

    def predict(_: object, samples: Iterable[Sample], **__: object) -> Predictions:
        seen["true"] = [sample.box for sample in samples]
        boxes = np.array([box.to_list() for box in seen["true"]])
        points = truth.original_img[:, 17:] + np.array([3, 4, 0], np.float32)
        return Predictions(truth.names, points, points, truth.fitted_yaw_deg, np.ones(5), boxes)

    def detect(_: object, samples: Iterable[Sample]) -> Detected:
        seen["detector"] = [sample.box for sample in samples]
        return Detected(truth.names, truth.original_img[:, 17:], np.ones((5, 4)), np.ones(5), 0)

    monkeypatch.setattr(
        "jvcr.evaluate.systems.open_backend",
        lambda *_, **__: SimpleNamespace(markup=own, image_size=128, crop_rule=CROP_RULE, confidence=Confidence()),
    )
    monkeypatch.setattr("jvcr.evaluate.systems.Landmarker", lambda *_, **__: None)
    monkeypatch.setattr("jvcr.evaluate.systems.predict_samples", predict)
    monkeypatch.setattr("jvcr.evaluate.systems.predict_detected", detect)
    saved, report = tmp_path / "new" / "ours.npz", tmp_path / "a.json"
    arguments = ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--weights", "mine.onnx"]
    arguments += ["--save-predictions", str(saved), "--json", str(report), "--draws", "100"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    expected = [Box.around(points[17:]) for points in truth.original_img]
    assert seen == {"true": expected, "detector": expected}
    boxes = read_predictions(saved).boxes
    assert boxes is not None
    np.testing.assert_allclose(boxes, [box.to_list() for box in expected])
    # The 68 cannot be had from these: both are scored on the 51, and the report says so.
    assert (json.loads(report.read_text())["markup"], "Scored on the 51 landmarks" in result.stdout) == ("no-jaw", True)
