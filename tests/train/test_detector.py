"""Training the detector, through the same loop as landmarks: it learns, it resumes, it is exported and found right."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.data.face_photos import split_of
from jvcr.data.table import Table
from jvcr.detect.network import NetworkDetector
from jvcr.export.detector import export_detector
from jvcr.model.config import DetectorConfig
from jvcr.model.detector_file import DetectorHeader, is_detector, load_detector, save_detector
from jvcr.train.config import DetectConfig, Stage
from jvcr.train.data.scenes import SceneAugmentation, SceneSources
from jvcr.train.detector import DetectTask
from jvcr.train.loop import Hardware, Loop
from jvcr.train.recipes import DETECT_RECIPES, RECIPES

SHORT = replace(
    DETECT_RECIPES["tiny-detector"],
    stages=(Stage("scenes", 48, lr=1e-3, final_lr=1e-4),),
    batch_size=8,
    validate_every=24,
    precision="32-true",
    workers=0,
    pictures=2,
    log_every=1,
)


def name_in(split: str, start: str, number: int) -> str:
    """The ``number``-th name with this start that falls into the split."""
    names = (f"{start}_{k}" for k in range(1000))
    return [name for name in names if split_of(name) == split][number]


@pytest.fixture(scope="module")
def data(
    make_table: Callable[..., Path], make_photos: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("detect")
    make_table(folder, (5.0, -20.0, 45.0, -75.0, 10.0, 40.0), ("train",) * 4 + ("val",) * 2)
    boxes: dict[str, list[list[float]]] = {}
    for split in ("train", "val", "test"):
        boxes[name_in(split, "lfw", 0)] = [[60, 40, 130, 120]]
        boxes[name_in(split, "lfw", 1)] = [[20, 30, 70, 100], [110, 60, 180, 140]]
        boxes[name_in(split, "bsds", 0)] = []
    return make_photos(folder, boxes)


def sources(data: Path, split: str) -> SceneSources:
    from jvcr.data.face_photos import read_face_photos

    return SceneSources(read_face_photos(data, split), Table(data, split))


class Silent:
    def on_progress(self, progress: object) -> None: ...

    def on_validation(self, samples: int, result: object) -> None: ...


def make(config: DetectConfig, data: Path, out: Path, init: Path | None = None) -> Loop:
    return Loop(DetectTask(config, sources(data, "train"), sources(data, "val"), init), out, Silent(), Hardware("cpu"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    loop = make(SHORT, data, tmp_path_factory.mktemp("run"))
    loop.run()
    return loop


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(trained: Loop, data: Path, tmp_path: Path) -> None:
    make(SHORT, data, tmp_path).run(seconds=0)
    again = make(SHORT, data, tmp_path)
    assert 0 < again.step < trained.step
    again.run()
    for (name, want), got in zip(
        trained.average.state_dict().items(), again.average.state_dict().values(), strict=True
    ):
        assert torch.equal(want, got), name


def test_losses_and_validations_are_recorded(trained: Loop) -> None:
    with (trained.out / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["samples"]) for row in rows] == [8, 16, 24, 32, 40, 48]
    for row in rows:
        parts = float(row["heat_loss"]) + 2.0 * float(row["box_loss"]) + 5.0 * float(row["roll_loss"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-4)
    with (trained.out / "log.csv").open() as file:
        validations = list(csv.DictReader(file))
    assert [row["samples"] for row in validations] == ["24", "48"]
    assert all(0 <= float(row["average_precision"]) <= 1 for row in validations)
    assert len(list((trained.out / "pictures").iterdir())) == 2


def test_other_data_or_another_task_is_refused(trained: Loop, data: Path) -> None:
    other = sources(data, "train")
    other.photos[0].boxes[0] += 1
    with pytest.raises(ValueError, match="the training table: other labels"):
        Loop(DetectTask(SHORT, other, sources(data, "val")), trained.out, Silent(), Hardware("cpu"))
    with pytest.raises(ValueError, match=r"box_weight: 2\.0 → 3\.0"):
        make(replace(SHORT, box_weight=3.0), data, trained.out)


@pytest.mark.slow
def test_it_learns_to_find(data: Path, tmp_path: Path) -> None:
    # Photographs alone, hardly varied: the faces are drawn ellipses.
    scenes = SceneAugmentation(
        pasted_share=0.0,
        empty_share=0.2,
        mosaic_share=0.0,
        smallest_px=40,
        largest=0.6,
        any_roll_share=0.0,
        roll_deg=0.0,
        cover_share=0.0,
        patch_share=0.0,
    )
    config = replace(
        DETECT_RECIPES["tiny-detector"].scaled_to(1600),
        scenes=scenes,
        workers=0,
        validate_every=1600,
        precision="32-true",
    )
    result = make(config, data, tmp_path).run()
    assert result is not None
    assert result.to_row()["average_precision"] > 0.7


def test_start_from_weights(trained: Loop, data: Path, tmp_path: Path) -> None:
    weights = trained.out / "model.safetensors"
    loop = make(SHORT, data, tmp_path, weights)
    for value, theirs in zip(loop.model.parameters(), trained.average.parameters(), strict=True):
        assert value.equal(theirs)
    bigger = replace(SHORT, model=DetectorConfig(image_size=128, channels=(24, 32, 48), blocks=1))
    with pytest.raises(ValueError, match=r"model\.safetensors is a detector of other sizes"):
        make(bigger, data, tmp_path / "b", weights)


def test_weights_travel_with_their_sizes(trained: Loop, tmp_path: Path) -> None:
    path = trained.out / "model.safetensors"
    network, header = load_detector(path)
    assert header.config == SHORT.model and header.about["samples_seen"] == 48
    assert is_detector(path) and not is_detector(tmp_path / "none")
    save_detector(tmp_path / "half.safetensors", network, DetectorHeader(header.config, {"licence": "x"}), half=True)
    again, theirs = load_detector(tmp_path / "half.safetensors")
    assert theirs.about == {"licence": "x"}
    for value, other in zip(network.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_an_export_that_differs_is_refused(trained: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, header = load_detector(trained.out / "model.safetensors")
    path = tmp_path / "d.onnx"
    assert export_detector(network, header, path) < 0.02
    before = path.read_bytes()
    true_cells = NetworkDetector.cells
    monkeypatch.setattr(NetworkDetector, "cells", lambda self, pictures: true_cells(self, pictures) + np.float32(0.03))
    with pytest.raises(ValueError, match=r"d\.onnx: the exported detector's boxes differ from PyTorch's by up to"):
        export_detector(network, header, path)
    assert path.read_bytes() == before and not list(tmp_path.glob("*.candidate"))


@pytest.mark.slow
def test_a_detector_reads_any_size(trained: Loop, tmp_path: Path) -> None:
    network, header = load_detector(trained.out / "model.safetensors")
    export_detector(network, header, tmp_path / "d.onnx")
    detector = NetworkDetector(tmp_path / "d.onnx", threads=1)
    for height, width in ((32, 32), (64, 96), (320, 32)):
        picture = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        with torch.no_grad():
            ours = network(torch.from_numpy(picture)).numpy()
        theirs = detector.cells(picture)
        assert theirs.shape == (1, 7, height // 8, width // 8)
        np.testing.assert_allclose(theirs[:, 1:], ours[:, 1:], atol=5e-3)


@pytest.mark.slow
def test_exported_convolutions_can_be_merged_with_what_follows(trained: Loop, tmp_path: Path) -> None:
    export_detector(*load_detector(trained.out / "model.safetensors"), tmp_path / "d.onnx", half=False)
    graph = onnx.load(tmp_path / "d.onnx").graph
    fixed = {tensor.name for tensor in graph.initializer}
    assert all(set(node.input[1:]) <= fixed and len(node.input) == 3 for node in graph.node if node.op_type == "Conv")


def jvcr(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


@pytest.mark.slow
def test_from_data_to_a_report_on_the_command_line(data: Path, tmp_path: Path) -> None:
    settings = tmp_path / "mine.toml"
    settings.write_text('preset = "tiny-detector"\nbatch_size = 4\n[scenes]\nmosaic_share = 0.5\n')
    run = tmp_path / "run"
    train = ("train", "--task", "detect", "--data", data, "--out", run, "--config", settings)
    assert "average precision" in jvcr(*train, "--samples", 16, "--workers", 0, "--accelerator", "cpu")
    assert "boxes differ from PyTorch's" in jvcr("export", run / "model.safetensors", tmp_path / "mine.onnx")
    assert NetworkDetector(tmp_path / "mine.onnx")(np.zeros((50, 60, 3), np.uint8)) is not None

    out = tmp_path / "report"
    text = jvcr("evaluate", "detect", "--root", data, "--out", out, "--threads", 1)
    assert "of 3" in text and "in 1 photos" in text
    report = json.loads((out / "report.json").read_text())
    alone, together = report["finders"]
    assert (alone["name"], together["name"]) == ("detector own", "with small")
    for scores in (alone, together):
        assert (scores["photos"], scores["faces"], scores["empty_photos"]) == (3, 3, 1)
        assert [share["count"] for share in scores["by_yaw"]] == [3, 0, 0]
        assert [share["label"] for share in scores["by_roll"]][:2] == ["0°", "±15°"]
        assert scores["by_roll"][1]["count"] == 6
    assert (out / "with_small.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--markup", "68"), "--markup is for landmarks"),
        (("--preset", "small"), "preset 'small' is unknown"),
    ],
)
def test_options_of_the_other_task_are_refused(
    data: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    train = ["train", "--task", "detect", "--data", str(data), "--out", str(tmp_path), *arguments]
    result = CliRunner().invoke(app, train)
    assert result.exit_code != 0 and message in str(result.exception)


def test_stages_of_landmarks_are_refused() -> None:
    with pytest.raises(ValueError, match="coordinate_weight and volume_noise are of landmark networks"):
        replace(SHORT, stages=RECIPES["small"].stages)
