"""Boxes, proposals, names and numbers that a caller gives: what is wrong is named by its place."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.detect.base import Proposal
from jvcr.frames import Box, CropRule
from jvcr.images import Image
from jvcr.io.boxes import GivenBoxes
from jvcr.io.photos import find_photos
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.base import Prediction
from jvcr.runtime.confidence import Confidence

GOOD = [179.0, 87.0, 269.0, 178.0]


class FakeRuntime:
    """Gives the same random points and a volume of 32 × 64 × 64 for every crop."""

    image_size, markup, crop_rule, confidence = 64, MARKUP_68, CropRule(), Confidence()

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._points = rng.random((1, 68, 3), np.float32)
        self._volume = rng.random((1, 32, 64, 64), np.float32)

    def __call__(self, crops: Image) -> Prediction:
        count = len(crops)
        return Prediction.from_volume(np.repeat(self._volume, count, 0), np.repeat(self._points, count, 0))


def landmarker(**settings: Any) -> Landmarker:
    return Landmarker(backend=FakeRuntime(), mirror=False, refine=False, **settings)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([50, 50, 40, 90], "empty"),
        ([50, 50, 50, 50], "empty"),
        ([50, 50, 50 + 1e-9, 50 + 1e-9], "smaller than a pixel"),
        ([50, 50, float("nan"), 90], "not finite"),
        ([50, 50, float("inf"), 90], "not finite"),
        ([50, 50, 10**400, 90], "not a table of numbers"),
        ([50, 50, "x", 90], "not a table of numbers"),
        ([50, 50, None, 90], "not finite|not a table of numbers"),
        ([50, 50, 90], r"shape \(3,\)"),
        ([[50, 50, 90, 90]], r"shape \(1, 4\)"),
        (7, r"shape \(\)"),
        ([700, 50, 790, 90], "outside the image"),
    ],
)
def test_a_bad_box_is_named_by_its_index(bad: object, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^box 2: .*({message})"):
        landmarker(detector=lambda image: []).predict(astronaut(), [GOOD, GOOD, bad, GOOD])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([50, 50, 40, 90], "empty"),
        ([50, 50, 50.001, 50.001], "smaller than a pixel"),
        (Proposal(Box(50, 50, 50.001, 50.001)), "smaller than a pixel"),
        ([50, 50, 10**400, 90], "10{20}|too large"),
        ([50, 50, 90], "expected a Proposal, a Box, or x0"),
        (None, "expected a Proposal"),
        (Proposal(Box(*GOOD), float("nan")), "score nan"),
        (Proposal(Box(*GOOD), 0.9, float("inf")), "roll_deg inf"),
        (Proposal(Box(*GOOD), "high"), "high"),  # type: ignore[arg-type]
        (Proposal(GOOD), "width"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_proposal_is_named_by_its_index(bad: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^the detector's proposal 1 of 3: .*({message})"):
        landmarker(detector=lambda image: [GOOD, bad, GOOD]).predict(astronaut())


def test_a_least_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="min_score is nan"):
        landmarker(detector=lambda image: [], min_score=float("nan"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b.json", '{"a.png": [[1, 2, 3, 1' + "0" * 400 + "]]}", "'a.png': int too large"),
        ("b.json", '{"a.png": [[1, 2, 3, 1' + "0" * 5000 + "]]}", "4300 digits"),
        ("b.json", '{"a.png": 7}', "'a.png'"),
        ("b.json", "[" * 100_000, "recursion"),
        ("b.json", "[]", "expected JSON"),
        ("b.csv", "a.png,1,2,3,ten\n", "line 1"),
        ("b.csv", "a.png,1,2,3,4\n\0,1,2\n", "line 2"),
    ],
)
def test_wrong_box_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
        GivenBoxes.read(tmp_path / name)


def test_files_of_boxes_are_ordinary_ones() -> None:
    with pytest.raises(ValueError, match="/dev/zero: cannot be read: it is a device"):
        GivenBoxes.read(Path("/dev/zero"))


def test_names_with_nul_are_no_photos(tmp_path: Path) -> None:
    found = find_photos(["a\0b.png"])
    assert found.paths == []
    assert len(found.problems) == 1
    (tmp_path / "b.json").write_text(json.dumps({"a\0b.png": [[1, 2, 30, 40]]}))
    assert GivenBoxes.read(tmp_path / "b.json").unused() == ["a\0b.png"]


def test_volumes_are_kept_on_request_alone() -> None:
    """A face takes some two kilobytes, and its volume 512: 100,000 boxes fit into memory."""
    boxes = [GOOD] * 400
    own = landmarker(detector=lambda image: [])
    photo = astronaut()
    own.predict(photo, boxes[:8])
    tracemalloc.start()
    faces = own.predict(photo, boxes)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(faces) == 400
    assert all(face.volume is None for face in faces)
    assert all(face.crop is not None for face in faces)
    assert kept < 400 * 4096
    # A batch of eight and its like are in memory at a time, not four hundred volumes of 512 kB.
    assert peak < 60 * 512 * 1024
    (with_volume,) = own.predict(photo, boxes[:1], volumes=True)
    assert with_volume.volume is not None and with_volume.volume.shape == (32, 64, 64)
    np.testing.assert_array_equal(with_volume.landmarks, faces[0].landmarks)


def test_the_page_asks_for_the_volume(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    from typer.testing import CliRunner

    from jvcr.cli.app import app
    from jvcr.images import write_image

    write_image(tmp_path / "one.png", astronaut())
    arguments = ["predict", str(tmp_path / "one.png"), "--html", "--out", str(tmp_path), "--threads", "1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "predicted volume" in (tmp_path / "one_3d.html").read_text(encoding="utf-8")
