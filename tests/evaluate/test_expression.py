"""``jvcr evaluate expression``: openings against hand marks, of a folder like AFLW2000-3D and of a training table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.data.table import Table
from jvcr.evaluate import expression
from jvcr.evaluate.aflw2000_truth import read_truth
from jvcr.evaluate.expression_scores import ExpressionTruth, closed_eyes_auc, inner_errors
from jvcr.evaluate.predictions import PredictionSet, write_predictions
from jvcr.expression import eye_openings, mouth_opening
from jvcr.geometry import mean_shape_68, rotation_from_angles
from jvcr.markups.markup import MARKUP_66

MakeFolder = Callable[..., Path]
Points = NDArray[np.float64]

# Six heads up to 30°, two up to 60°, two beyond.
YAWS_DEG = (0.0, 10.0, -20.0, 5.0, 25.0, -5.0, 40.0, -50.0, 70.0, -75.0)
# Four faces with closed eyes, six with open ones; and what is predicted of them.
TRUE_EYES = (0.05, 0.06, 0.07, 0.08, 0.25, 0.26, 0.27, 0.28, 0.29, 0.30)
SEEN_EYES = (0.10, 0.10, 0.10, 0.30, 0.20, 0.20, 0.20, 0.20, 0.20, 0.05)
TRUE_MOUTHS = (0.0, 0.02, 0.04, 0.2, 0.3, 0.4, 0.45, 0.55, 0.6, 0.7)
SEEN_MOUTHS = tuple(0.1 + 0.5 * true for true in TRUE_MOUTHS)


def opened(points: Points, eyes: float, mouth: float) -> Points:
    """The same (68, ≥2) face with these openings: lids and inner lips are so much of their corners' distance apart."""
    out = np.array(points, np.float64)
    for corners, pairs, opening in (
        ((36, 39), ((37, 41), (38, 40)), eyes),
        ((42, 45), ((43, 47), (44, 46)), eyes),
        ((60, 64), ((62, 66),), mouth),
    ):
        half = np.array([0, opening * np.linalg.norm(out[corners[0], :2] - out[corners[1], :2]) / 2])
        for upper, lower in pairs:
            middle = (out[upper, :2] + out[lower, :2]) / 2
            out[upper, :2], out[lower, :2] = middle - half, middle + half
    return out


def sizes(points: Points) -> Points:
    """(B,) sqrt(w·h)."""
    return np.sqrt(np.prod(np.ptp(points[..., :2], axis=1), axis=1))


@pytest.fixture(scope="module")
def marked(make_benchmark: MakeFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AFLW2000-3D's layout with ``hand2d.npz``: the labels' landmarks, with openings that the labels do not have."""
    folder = make_benchmark(tmp_path_factory.mktemp("marked"), YAWS_DEG)
    truth = read_truth(folder)
    hand = [opened(p[:, :2], e, m) for p, e, m in zip(truth.original_img, TRUE_EYES, TRUE_MOUTHS, strict=True)]
    np.savez(folder / "hand2d.npz", id=np.array(truth.names), points2d=np.array(hand))
    return folder


@pytest.fixture(scope="module")
def seen(marked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions with other openings; but for these, (3, 4) hundredths of the face's size off."""
    truth = read_truth(marked)
    offset = sizes(truth.original_img)[:, None, None] * np.array([0.03, 0.04, 0])
    points = [opened(p, e, m) for p, e, m in zip(truth.original_img, SEEN_EYES, SEEN_MOUTHS, strict=True)]
    path = tmp_path_factory.mktemp("seen") / "peer.npz"
    write_predictions(path, PredictionSet(truth.names, np.array(points) + offset, about={"boxes": "true boxes"}))
    return path


def test_the_fixture_has_the_openings_that_it_says() -> None:
    points = opened(mean_shape_68()[:, :2], 0.07, 0.45)
    np.testing.assert_allclose(eye_openings(points), 0.07)
    assert mouth_opening(points) == pytest.approx(0.45)


def test_by_hand(marked: Path, seen: Path) -> None:
    report = expression.evaluate(marked, predictions=[seen])
    (score,) = report.scores
    assert (score.system.name, score.faces, score.missed) == ("peer", 10, 0)
    # Pairs of a closed and an open eye: 0.10 (three faces) is less than five of the six open ones, 0.30 than none.
    assert score.closed_eyes["all"] == pytest.approx(15 / 24)
    # Up to 30°, closed 0.10, 0.10, 0.10, 0.30 against open 0.20, 0.20. Beyond 30°, no eye is closed.
    assert score.closed_eyes["up to 30°"] == pytest.approx(6 / 8)
    assert np.isnan(score.closed_eyes["over 60°"])
    mouths = score.fits["all"]["mouth opening"]
    assert (mouths.count, mouths.slope, mouths.correlation) == (10, pytest.approx(0.5), pytest.approx(1))
    true, predicted = np.repeat(TRUE_EYES, 2), np.repeat(SEEN_EYES, 2)
    eyes = score.fits["all"]["eye opening"]
    assert eyes.count == 20
    assert eyes.slope == pytest.approx(np.polyfit(true, predicted, 1)[0], rel=1e-4)
    assert eyes.correlation == pytest.approx(np.corrcoef(true, predicted)[0, 1], rel=1e-4)
    groups = {name: (group.count, group.true, group.predicted) for name, group in score.groups.items()}
    assert groups["closed eyes"] == (8, pytest.approx(0.065, rel=1e-4), pytest.approx(0.10, rel=1e-4))
    assert groups["open eyes"] == (12, pytest.approx(0.275, rel=1e-4), pytest.approx(0.20, rel=1e-4))
    assert groups["shut mouths"] == (3, pytest.approx(0.02, rel=1e-4), pytest.approx(0.11, rel=1e-4))
    assert groups["wide mouths"] == (3, pytest.approx(0.6, rel=1e-4), pytest.approx(0.40, rel=1e-4))
    # Brows are those of the labels, in both.
    brows = score.fits["all"]["brow height"]
    assert (brows.count, brows.slope, brows.correlation) == (20, pytest.approx(1, rel=1e-3), pytest.approx(1, rel=1e-3))
    # Open eyes that are seen shut (0.30 at 0.05), then shut ones that are seen open (0.08 at 0.30).
    assert [report.truth.names[row] for row in score.worst[:2]] == ["image00063", "image00021"]


def test_a_constant_offset_of_the_markups_is_removed(marked: Path, tmp_path: Path) -> None:
    truth = read_truth(marked)
    with np.load(marked / "hand2d.npz") as file:
        hand = file["points2d"]
    points = np.concatenate([hand, np.zeros((10, 68, 1))], axis=2)
    points += sizes(truth.original_img)[:, None, None] * np.array([0.03, 0.04, 0])
    write_predictions(tmp_path / "peer.npz", PredictionSet(truth.names, points))
    (score,) = expression.evaluate(marked, predictions=[tmp_path / "peer.npz"]).scores
    raw, aligned = score.inner["all"]
    assert raw == pytest.approx(0.05, rel=1e-4)
    # Not quite: offsets are taken in crops that are upright by the median photo's head, 0.7° from these level heads.
    assert aligned == pytest.approx(0, abs=5e-4)
    # No face removes its own error: a face that alone is off keeps all of it. The other four fifths do not see it.
    points[3] += [10, 0, 0]
    write_predictions(tmp_path / "peer.npz", PredictionSet(truth.names, points))
    (score,) = expression.evaluate(marked, predictions=[tmp_path / "peer.npz"]).scores
    own = 10 / sizes(truth.original_img)[3]
    # Of its fold are faces 3 and 8; the eight others of each fold but this one hold it, an eighth of its error.
    assert score.inner["all"][1] == pytest.approx((own + 8 * own / 8) / 10, rel=1e-3)


def test_the_offset_is_that_of_the_upright_face() -> None:
    rolls = np.arange(0, 150, 15)
    turns = [rotation_from_angles(0, 0, roll) for roll in rolls]
    target = np.array([100 * mean_shape_68() @ turn.T for turn in turns])
    truth = ExpressionTruth("heads", [str(roll) for roll in rolls], target[..., :2], target, np.zeros(len(rolls)))
    turning = np.array([(turn[:2, :2] @ (3, 4))[None] for turn in turns])
    ratio = 5 / sizes(target)
    raw, aligned = inner_errors(target[..., :2] + turning * np.ones((1, 68, 1)), truth)
    np.testing.assert_allclose(raw, ratio)
    # Faces have other boxes when they are turned, and so other ratios: what remains is less than their spread.
    assert aligned.max() <= np.ptp(ratio) + 1e-9 < 0.1 * raw.min()
    # An offset that does not turn with the face stays.
    _, aligned = inner_errors(target[..., :2] + np.array([3, 4]), truth)
    assert aligned.mean() > 0.5 * raw.mean()


def test_the_area_by_hand() -> None:
    assert closed_eyes_auc(np.array([0.05, 0.3]), np.array([0.1, 0.2])) == 1
    assert closed_eyes_auc(np.array([0.05, 0.3]), np.array([0.2, 0.1])) == 0
    # Neither closed nor open, and not seen: no pair.
    assert closed_eyes_auc(np.array([0.05, 0.3, 0.15, 0.05]), np.array([0.1, 0.1, 0.0, np.nan])) == 0.5
    assert np.isnan(closed_eyes_auc(np.array([0.05, 0.15]), np.array([0.1, 0.1])))


def test_hidden_landmarks_and_faces_that_are_no_good_do_not_count(marked: Path, seen: Path, tmp_path: Path) -> None:
    with np.load(marked / "hand2d.npz") as file:
        arrays = dict(file)
    good, hidden = np.ones(10, bool), np.zeros((10, 68), bool)
    good[9] = False
    hidden[4, 37] = True  # the right eye of one face
    np.savez(tmp_path / "other.npz", **arrays, good=good, externally_occluded=hidden)
    report = expression.evaluate(marked, predictions=[seen], hand=tmp_path / "other.npz", without=["image00000"])
    (score,) = report.scores
    assert report.truth.title == "AFLW2000-3D without 1 named images"
    assert (score.faces, score.fits["all"]["eye opening"].count) == (8, 15)
    assert score.fits["all"]["mouth opening"].count == 8


def test_hand_marks_of_a_training_table(
    make_table: MakeFolder, make_head: Callable[..., Points], frontal: Callable[..., object], tmp_path: Path
) -> None:
    yaws = (0.0, 0.0, 0.0, 0.0, 0.0)
    hand = np.array([opened(make_head(yaw)[:, :2], 0.05 * (n + 1), 0.1 * n) for n, yaw in enumerate(yaws)], np.float32)
    hand[3] = np.nan
    visibility = np.zeros((5, 68), np.int8)
    visibility[2, [43, 60]] = 1, 2
    folder = make_table(tmp_path, yaws, ["val"] * 4 + ["train"], hand2d=hand, visibility=visibility)
    report = expression.evaluate(folder, {"mine": frontal()}, boxes="true", mirror=False, refine=False)  # type: ignore[dict-item]
    (score,) = report.scores
    assert report.truth.title == "validation rows" and report.truth.names == ["face0", "face1", "face2"]
    # One of six eyes is behind something, one of three mouths behind the head itself.
    assert score.fits["all"]["eye opening"].count == 5 and score.fits["all"]["mouth opening"].count == 2
    # The network sees the mean face in each.
    seen = eye_openings(Table(folder, "val").points[0, :, :2])
    assert score.pairs["eye opening"][:, 1] == pytest.approx(np.array([*seen, *seen, seen[0]]), rel=1e-3)
    with pytest.raises(ValueError, match=r"--hand .* is for AFLW2000-3D; a training table holds its own"):
        expression.evaluate(folder, {"mine": frontal()}, hand=tmp_path / "hand2d.npz")  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="validation rows without 3 named images: no face has hand marks"):
        expression.evaluate(folder, {"mine": frontal()}, without=["face0", "face1", "face2"])  # type: ignore[dict-item]


def test_what_cannot_be_compared_is_named(marked: Path, tmp_path: Path) -> None:
    names = read_truth(marked).names
    write_predictions(tmp_path / "few.npz", PredictionSet(names, np.ones((10, 66, 3)), markup=MARKUP_66))
    with pytest.raises(ValueError, match="few: the 68 landmarks of 'ibug-68' cannot be made from its 66"):
        expression.evaluate(marked, predictions=[tmp_path / "few.npz"])
    write_predictions(tmp_path / "none.npz", PredictionSet(names, np.full((10, 68, 3), np.nan)))
    with pytest.raises(ValueError, match="none: none of the 10 faces was found"):
        expression.evaluate(marked, predictions=[tmp_path / "none.npz"])
    with pytest.raises(FileNotFoundError, match=r"no\.npz"):
        expression.evaluate(marked, hand=tmp_path / "no.npz")


def test_the_command(marked: Path, seen: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="plotly comes with the extra demo")
    (tmp_path / "without.txt").write_text("image00063\n")
    out = tmp_path / "out"
    arguments = ["evaluate", "expression", "--root", marked, "--predictions", seen, "--out", out, "--worst", 2]
    done = CliRunner().invoke(app, [*map(str, arguments), "--without", str(tmp_path / "without.txt")])
    assert done.exit_code == 0, done.exception
    assert "Expression: AFLW2000-3D without 1 named images, 9 faces with hand marks" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("→")] == [
        f"→ {out / name}" for name in ("report.json", "report.md", "report.html")
    ]
    record = json.loads((out / "report.json").read_text())
    assert (record["benchmark"], record["faces"]) == ("expression", 9)
    # Without the last face, all open eyes are seen at 0.20: 3 of 4 closed ones are drawn less open.
    assert record["systems"][0]["closed_eyes_auc"] == {
        "all": 0.75,
        "up to 30°": 0.75,
        "30° to 60°": None,
        "over 60°": None,
        # Every photo of this folder is as dark.
        "light": None,
        "intermediate": None,
        "dark": 0.75,
    }
    assert "### Expression by yaw" in (out / "report.md").read_text(encoding="utf-8")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2 and page.count("Plotly.newPlot(") == 4
    assert "image00021: eyes 0.30, 0.30 (true 0.08, 0.08)" in page
