"""``jvcr evaluate`` as users run it: a process of its own."""

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
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.data.derive import converted_points
from jvcr.data.formats.aflw2000 import aflw_yaws
from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.evaluate.predictions import PredictionSet, read_predictions, write_predictions
from jvcr.evaluate.run import Detected, Predictions
from jvcr.evaluate.truth import read_truth
from jvcr.frames import CROP_RULE, Box
from jvcr.markups.file import markup_from
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68, Markup, subset


def evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jvcr.cli.app", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


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


def test_the_whole_report_of_the_weights(benchmark_folder: Path, tmp_path: Path) -> None:
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
    assert system["name"] == "jvcr small 0.1.0"


def test_peers_side_by_side(benchmark_folder: Path, peers: list[Path], tmp_path: Path) -> None:
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
    done = evaluate("--table", "paper", "--results", report)
    assert done.returncode == 0, done.stderr
    for numeral in ("I", "II", "III", "IV"):
        assert f"Table {numeral}: " in done.stdout
    assert re.search(r"ruler 2, true boxes +8\.33 +measured here \(report\.json", done.stdout)
    assert re.search(r"JVCR, the paper +2\.94 +3\.46 +4\.53 +3\.64 +0\.81 +published", done.stdout)


def test_multi_view_of_the_weights(make_table: Callable[..., Path], tmp_path: Path) -> None:
    names, sources = ["ann_0", "ann_1", "ann_2"], np.array(["300wlp-ibug"] * 3)
    folder = make_table(tmp_path, (0.0, 40.0, -70.0), ["val"] * 3, names=names, source=sources)
    done = evaluate(
        "multi-view", "--root", folder, "--boxes", "true", "--json", tmp_path / "views.json", "--threads", 1
    )
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
        (
            ("afwl",),
            "benchmark 'afwl' is unknown; expected one of aflw2000-3d, multi-view, table, robustness, detect, paper",
        ),
        (("aflw2000-3d",), "aflw2000-3d needs --root"),
        (("--table", "all"), "--table 'all' is unknown"),
        (("aflw2000-3d", "--root", "here", "--save-predictions", "a.csv"), "expected an ending .npz or .jsonl"),
        (("aflw2000-3d", "--root", "nowhere"), "nowhere: no image*.mat"),
        (("paper", "--root", "nowhere"), "nowhere: neither AFLW2000-3D"),
        (("table", "--root", "a", "--save-predictions", "a.npz"), "table takes no --save-predictions; it is for aflw2"),
        (("table", "--root", "a", "--aflw-yaw", "a.npy"), "benchmark table takes no --aflw-yaw;"),
        (
            ("table", "--root", "a", "--pixel-base", "as-published"),
            "benchmark table takes no --pixel-base as-published",
        ),
        (("multi-view", "--root", "a", "--aflw-yaw-names", "a.txt"), "multi-view takes no --aflw-yaw-names"),
        (("paper", "--root", "a", "--save-predictions", "a.npz"), "benchmark paper takes no --save-predictions"),
        (
            ("table", "--root", "a", "--weights", "my.safetensors"),
            "my.safetensors: weights as training writes them; run",
        ),
    ],
)
def test_wrong_arguments_are_explained(arguments: tuple[str, ...], message: str) -> None:
    # In this process: what is tested is the message, and every process costs a second.
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 1
    assert message in str(result.exception)


def test_predictions_of_other_photos_are_refused(benchmark_folder: Path, tmp_path: Path) -> None:
    write_predictions(tmp_path / "other.npz", PredictionSet(["cat"], np.ones((1, 68, 3))))
    other = str(tmp_path / "other.npz")
    result = CliRunner().invoke(
        app, ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--predictions", other]
    )
    assert result.exit_code == 1
    assert "other.npz: not one of its 1 ids is among the 5 photos" in str(result.exception)


@pytest.mark.parametrize(("weights", "labels"), [("51", 68), ("71", 68), ("66", 68), ("68", 66)])
def test_weights_see_the_box_of_their_own_landmarks(
    make_table: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: str,
    labels: int,
) -> None:
    own = subset(MARKUP_68, tuple(range(17, 68)), "no-jaw") if weights == "51" else markup_from(weights)
    source = MARKUP_68 if labels == 68 else MARKUP_66
    folder = make_table(tmp_path, (0.0, 40.0, -70.0), ["val"] * 3)
    if labels == 66:
        with np.load(folder / "labels.npz") as file:
            arrays = {**file, "points": file["points"][:, list(INDICES_66_IN_68)]}
        np.savez(folder / "labels.npz", **arrays)
    boxes = []

    def predict(runtime: object, samples: Iterable[Sample], **_: object) -> Predictions:
        samples = list(samples)
        boxes.extend(sample.box for sample in samples)
        truth = np.stack([sample.points_img for sample in samples])
        # True landmarks, as far as the weights' markup can be had from these.
        points = truth if weights != "71" else np.concatenate([truth, truth[:, :3]], axis=1)
        if weights == "68":
            points = np.insert(truth, [60, 63], 0, axis=1)
        return Predictions([s.name for s in samples], points, truth, np.array([s.yaw_deg for s in samples]), np.ones(3))

    monkeypatch.setattr("jvcr.cli.evaluate.weights_path", Path)
    monkeypatch.setattr(
        "jvcr.cli.evaluate.open_backend",
        lambda *_, **__: SimpleNamespace(markup=own, image_size=128, crop_rule=CROP_RULE),
    )
    monkeypatch.setattr("jvcr.evaluate.run.predict_samples", predict)
    result = CliRunner().invoke(app, ["evaluate", "table", "--root", str(folder), "--weights", weights])
    assert result.exit_code == 0, result.exception
    table = Table(folder, "val")
    expected = converted_points(table.points, source, own)
    expected = table.points if expected is None else expected
    assert boxes == [Box.around(points) for points in expected]
    assert "mean 0.00 ± 0.00 %" in result.stdout


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
    monkeypatch.setattr("jvcr.cli.evaluate.open_backend", MustNotPredict)
    arguments = ["evaluate", "aflw2000-3d", "--root", str(benchmark_folder), "--weights", "small"]
    result = CliRunner().invoke(app, [*arguments, "--predictions", str(tmp_path / "other.npz")])
    assert "other.npz: not one of its 1 ids" in str(result.exception)


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

    monkeypatch.setattr("jvcr.evaluate.run.predict_samples", predict)
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
        points = truth.original_img[:, 17:] + np.array([3, 4, 0], np.float32)
        return Predictions(truth.names, points, points, truth.fitted_yaw_deg, np.ones(5))

    def detect(_: object, samples: Iterable[Sample]) -> Detected:
        seen["detector"] = [sample.box for sample in samples]
        return Detected(truth.names, truth.original_img[:, 17:], np.ones((5, 4)), np.ones(5), 0)

    monkeypatch.setattr(
        "jvcr.cli.evaluate.open_backend",
        lambda *_, **__: SimpleNamespace(markup=own, image_size=128, crop_rule=CROP_RULE),
    )
    monkeypatch.setattr("jvcr.cli.evaluate.Landmarker", lambda *_, **__: None)
    monkeypatch.setattr("jvcr.evaluate.run.predict_samples", predict)
    monkeypatch.setattr("jvcr.evaluate.run.predict_detected", detect)
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
