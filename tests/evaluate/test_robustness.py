from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.data.sample import Sample
from jvcr.evaluate.robustness import CONDITIONS, REFERENCE, case_of, errors_by_condition, robustness_table
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

BOX = [179, 87, 269, 178]


@pytest.fixture(scope="module")
def sample() -> Sample:
    """The astronaut, with what the network itself says as truth."""
    face = Landmarker(threads=1).predict(astronaut(), [BOX])[0]
    return Sample("astronaut", astronaut(), face.landmarks)


def test_conditions_do_what_they_say(sample: Sample) -> None:
    box, image = sample.box, sample.image.astype(float)
    case = {name: case_of(name, sample) for name in CONDITIONS}
    shifted = case["box shifted by 15 %"].box
    moved = (np.array(shifted.centre) - box.centre) / (box.width, box.height)
    assert math.hypot(*moved) == pytest.approx(0.15)
    assert shifted.width == pytest.approx(box.width)
    assert case["box ±15 % in size"].box.width / box.width in (pytest.approx(0.85), pytest.approx(1.15))
    assert abs(case["turned by ±30°"].roll_deg) == 30 and abs(case["upside down"].roll_deg) == 180
    inside = (slice(int(box.y0), int(box.y1)), slice(int(box.x0), int(box.x1)))
    assert case["a tenth of the light"].image[inside].mean() == pytest.approx(image[inside].mean() / 10, abs=0.5)
    grey = (case["40 % of the box covered"].image == 128).all(axis=2) & (sample.image != 128).any(axis=2)
    assert grey.sum() == pytest.approx(0.4 * box.width * box.height, rel=0.05)
    assert grey[inside].sum() == pytest.approx(grey.sum(), rel=0.05)

    def detail(name: str) -> float:
        return float(np.abs(np.diff(case[name].image[inside].astype(float), axis=1)).mean())

    steps = [detail(n) for n in (REFERENCE, "blurred, σ 2 % of the box", "blurred, σ 4 % of the box")]
    assert steps == sorted(steps, reverse=True)
    assert detail(REFERENCE) > detail("box of 32 px") > detail("box of 20 px")
    assert np.ptp(case["grey"].image, axis=2).max() == 0
    assert 2 < np.abs(case["JPEG quality 10"].image.astype(float) - image).mean() < 20


def test_cases_depend_on_name_and_seed_alone(sample: Sample) -> None:
    one, again = (case_of("box shifted by 5 %", sample).box for _ in range(2))
    assert one == again
    assert case_of("box shifted by 5 %", sample, seed=1).box != one
    assert case_of("box shifted by 5 %", Sample("other", sample.image, sample.points_img)).box != one


def test_a_second_look_mends_boxes_and_rolls(sample: Sample) -> None:
    runtime = OnnxRuntime(weights_path("small"), 1)
    names = (REFERENCE, "box shifted by 25 %, ±25 % in size", "turned by ±60°")
    once = errors_by_condition(runtime, [sample], conditions=names)
    twice = errors_by_condition(runtime, [sample], rough=runtime, conditions=names)
    assert [row.condition for row in once] == list(names)
    for worse, better in zip(once[1:], twice[1:], strict=True):
        assert better.nme.image_mean < 0.7 * worse.nme.image_mean
        assert better.gte is not None and better.gte < 0.1
    # Turned predictions were turned back, or they would be off by the size of the face.
    assert once[2].nme.image_mean < 0.2
    text = robustness_table(twice, "refinement").to_text()
    assert "turned by ±60°" in text and "+" in text


def test_failures_are_counted(sample: Sample) -> None:
    wrong = Sample("moved", sample.image, sample.points_img + np.float32(0.3 * sample.box.width))
    row = errors_by_condition(OnnxRuntime(weights_path("small"), 1), [sample, wrong], conditions=[REFERENCE])[0]
    assert row.failures == 0.5


def test_errors_within_sigma_are_counted(sample: Sample) -> None:
    runtime = OnnxRuntime(weights_path("small"), 1)
    shape = np.random.default_rng(0).normal(0, 0.02 * sample.box.width, (68, 3)).astype(np.float32)
    moved = Sample("moved", sample.image, sample.points_img + shape)
    (face,) = Landmarker(backend=runtime, mirror=False, refine=False).predict(moved.image, [moved.box])
    assert face.sigma_px is not None
    row = errors_by_condition(runtime, [moved], conditions=[REFERENCE])[0]
    away = np.abs(face.landmarks - moved.points_img)
    inside = [float(away[i, axis] < face.sigma_px[i]) for i in range(68) for axis in (0, 1)]
    assert row.within_sigma == pytest.approx(sum(inside) / 136)
    assert 0.1 < row.within_sigma < 0.9
    assert robustness_table([row], "one look").to_text().splitlines()[-1].endswith(f"{100 * row.within_sigma:.1f}")


def test_networks_without_sigma_have_no_share(sample: Sample) -> None:
    runtime = OnnxRuntime(weights_path("small"), 1)
    runtime.confidence = replace(runtime.confidence, landmarks=None)
    assert errors_by_condition(runtime, [sample], conditions=[REFERENCE])[0].within_sigma is None


def test_bad_arguments(sample: Sample) -> None:
    runtime = OnnxRuntime(weights_path("small"), 1)
    with pytest.raises(ValueError, match="'fog' is unknown"):
        errors_by_condition(runtime, [sample], conditions=["fog"])
    with pytest.raises(ValueError, match="no sample"):
        errors_by_condition(runtime, [], conditions=[REFERENCE])


def test_command(make_table: Callable[..., Path], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from jvcr.cli.app import app

    root = make_table(tmp_path, (5.0, 45.0, -75.0), splits=["val"] * 3)
    done = CliRunner().invoke(app, ["evaluate", "robustness", "--root", str(root), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["systems"]["small"]["rows"]
    assert [row["condition"] for row in rows] == list(CONDITIONS)
    assert all(row["nme"]["counts"] == [1, 1, 1] for row in rows)
    assert "| upside down |" in (tmp_path / "out" / "report.md").read_text()
