"""Every benchmark as a notebook calls it: a function of a folder and of networks, and its report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jvcr.data.derive import converted_points
from jvcr.data.table import Table
from jvcr.detect.whole import whole_image
from jvcr.evaluate import aflw2000, detect, robustness, table, views
from jvcr.evaluate.aflw2000_scores import Cell
from jvcr.evaluate.aflw2000_truth import read_truth
from jvcr.evaluate.benchmark import read_names
from jvcr.evaluate.matching import HIT_OVERLAP
from jvcr.evaluate.predictions import PredictionSet, write_predictions
from jvcr.evaluate.robustness import CONDITIONS, REFERENCE
from jvcr.frames import Box
from jvcr.markups.file import markup_from
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68, subset
from jvcr.metrics import YawTable
from jvcr.paper import tables as paper
from jvcr.runtime.base import Prediction, Runtime
from jvcr.runtime.confidence import Confidence

MakeFolder = Callable[..., Path]
MakeRuntime = Callable[..., Runtime]


class Steps:
    """Remembers what a ``Progress`` was told, and that it makes sense: each stage from 0 to its end, by one."""

    def __init__(self) -> None:
        self.stages: dict[str, int] = {}
        self._done = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self.stages:
            assert done == 0, stage
        else:
            assert done == self._done + 1, stage
        self.stages[stage], self._done = total, done
        assert done <= total

    def finished(self) -> bool:
        return self._done == list(self.stages.values())[-1]


def nme(report: aflw2000.Aflw2000Report, number: int = 0) -> YawTable:
    cell = report.scores[number].cell("NME")
    assert isinstance(cell, Cell)
    return cell.table


@pytest.fixture(scope="module")
def heads(make_benchmark: MakeFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AFLW2000-3D's layout with two frontal heads, one half turned, one profile."""
    return make_benchmark(tmp_path_factory.mktemp("heads"), (0.0, 0.0, 45.0, 75.0))


def shift_ratio(box: Box) -> float:
    """NME of a sixteenth of the crop's side: 1.6 / 16 of the longer side, over sqrt(w·h)."""
    return 0.1 * max(box.width, box.height) / math.sqrt(box.width * box.height)


def test_aflw2000(heads: Path, frontal: MakeRuntime) -> None:
    steps, kept = Steps(), []
    report = aflw2000.evaluate(
        str(heads),
        {"straight": frontal(), "shifted": frontal(1 / 16)},
        boxes="true",
        mirror=False,
        draws=100,
        progress=steps,
        keep=kept.append,
    )
    assert [(s.system.name, s.system.boxes, s.missed) for s in report.scores] == [
        ("jvcr straight", "true boxes", 0),
        ("jvcr shifted", "true boxes", 0),
    ]
    # Frontal heads in their true boxes are what the network sees; turned ones are not.
    straight, shifted = nme(report, 0), nme(report, 1)
    assert straight.counts == (2, 1, 1)
    assert straight.bins[0] == pytest.approx(0, abs=1e-5)
    assert 0.05 < straight.bins[1] < straight.bins[2]
    truth = read_truth(heads)
    boxes = [Box.around(points) for points in truth.original_img]
    assert shifted.bins[0] == pytest.approx(shift_ratio(boxes[0]), rel=1e-4)
    assert steps.stages == {"jvcr straight, true boxes": 4, "jvcr shifted, true boxes": 4} and steps.finished()
    # What is kept is what was scored, with the boxes that the crops were taken around.
    assert [(k.ids, k.about["tool"], k.about["boxes"]) for k in kept] == [
        (truth.names, "jvcr straight", "true boxes"),
        (truth.names, "jvcr shifted", "true boxes"),
    ]
    np.testing.assert_allclose(kept[0].boxes, [box.to_list() for box in boxes])
    np.testing.assert_array_equal(kept[1].landmarks_img, report.scores[1].system.points_img)


def test_mirror_and_refine(heads: Path, frontal: MakeRuntime) -> None:
    # The shift is to the other side in the mirrored crop: the mean of both is right.
    network = frontal(1 / 16)
    report = aflw2000.evaluate(heads, {"mine": network}, boxes="true", draws=100)
    assert nme(report).bins[0] == pytest.approx(0, abs=1e-5)
    assert network.looks == 2 * 4
    # A second look begins where the first one was wrong, and is wrong by as much again.
    network = frontal(1 / 16)
    report = aflw2000.evaluate(heads, {"mine": network}, boxes="true", mirror=False, refine=True, draws=100)
    box = Box.around(read_truth(heads).original_img[0])
    assert nme(report).bins[0] == pytest.approx(2 * shift_ratio(box), rel=1e-4)
    assert network.looks == 2 * 4


def test_predictions_beside_networks_and_images_left_out(heads: Path, frontal: MakeRuntime, tmp_path: Path) -> None:
    truth = read_truth(heads)
    path = tmp_path / "peer.npz"
    write_predictions(path, PredictionSet(truth.names, truth.original_img + np.array([3, 4, 0], np.float32)))
    out = truth.names[1]
    report = aflw2000.evaluate(
        heads, {"mine": frontal()}, predictions=[path], without=[out], boxes="true", mirror=False, draws=100
    )
    assert report.truth.names == [name for name in truth.names if name != out]
    assert [score.system.name for score in report.scores] == ["jvcr mine", "peer"]
    assert report.scores[1].system.note == "from peer.npz; 1 of its ids match no image."
    assert nme(report).counts == (1, 1, 1)
    assert len(report.common) == 2
    # With predictions, there are no networks by default.
    alone = aflw2000.evaluate(heads, predictions=[path], draws=100)
    assert [score.system.name for score in alone.scores] == ["peer"]
    with pytest.raises(ValueError, match=r"1 of the 2 images to exclude are not in it, e\.g\. cat"):
        aflw2000.evaluate(heads, {"mine": frontal()}, without=[out, "cat"])
    with pytest.raises(ValueError, match="every image is excluded"):
        aflw2000.evaluate(heads, {"mine": frontal()}, without=truth.names)


def test_a_report_in_every_form(heads: Path, frontal: MakeRuntime) -> None:
    report = aflw2000.evaluate(heads, {"<b>mine</b>": frontal()}, boxes="true", draws=100)
    assert report.to_text().startswith("AFLW2000-3D, 4 images (the whole benchmark has 2,000), 2 / 1 / 1 by fitted yaw")
    assert report.to_markdown(worst=1).endswith("(NME in percent, original labels)\n\n" + _worst(report) + "\n")
    titles = [table.title for table in report.tables()]
    assert titles[0] == "NME, 68 points, original labels, fitted yaw, percent" and len(titles) == 11
    json.dumps(report.to_dict(), allow_nan=False)
    pytest.importorskip("plotly", reason="plotly comes with the extra demo")
    page = report.to_html(worst=2)
    assert page.count('<img alt="image') == 2 and "The 2 worst faces: jvcr &lt;b&gt;mine" in page
    # Nothing in a page is markup that should be text; published rows are grey; the plots are no text.
    assert "<b>" not in page.replace(_scripts(page), "")
    assert page.count('<tr class="published">') > 10
    assert page.count("Plotly.newPlot(") == 4


def _worst(report: aflw2000.Aflw2000Report) -> str:
    ((name, error),) = report.worst(1)
    assert name == "image00021"
    return f"{name} ({100 * error:.1f})"


def _scripts(page: str) -> str:
    """From the first plot to the last one."""
    return page[page.index("<script") : page.rindex("</script>")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"boxes": "mine"}, "boxes 'mine' are unknown; expected one of true, detector, both"),
        ({"detector": "eyes"}, "detector 'eyes' is unknown; expected one of own, whole-image"),
        ({"pixel_base": "one"}, "pixel_base 'one' is unknown; expected respected or as-published"),
        ({"weights": ["mine.safetensors"]}, "mine.safetensors: these are training weights; run `jvcr export`"),
        ({"weights": "smal"}, "weights 'smal' are unknown"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_read(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aflw2000.evaluate("nowhere", **settings)  # type: ignore[arg-type]


def test_detected_faces(heads: Path, frontal: MakeRuntime) -> None:
    # The detector takes each photo for a face crop: the network's face fills the photo, and overlaps every true box.
    kept: list[PredictionSet] = []
    report = aflw2000.evaluate(
        heads, {"mine": frontal()}, boxes="both", detector="whole-image", draws=100, keep=kept.append
    )
    assert [score.system.boxes for score in report.scores] == ["true boxes", "the detector's boxes"]
    assert [k.about["boxes"] for k in kept] == ["true boxes", "the detector's boxes"]
    assert report.scores[1].system.note.startswith("the detected face with the highest IoU with the true box is scored")
    # Photos of 160 × 150 px around heads of 99 px: the face is about where it is seen, but not exactly.
    assert 0.005 < nme(report, 1).bins[0] < 0.1


def test_views(make_table: MakeFolder, frontal: MakeRuntime, tmp_path: Path) -> None:
    names, source = ["ann_0", "ann_1", "ann_2"], np.array(["300wlp-ibug"] * 3)
    folder = make_table(tmp_path, (0.0, 35.0, 70.0), ["val"] * 3, names=names, source=source)
    steps = Steps()
    report = views.evaluate(folder, {"mine": frontal()}, boxes="true", mirror=False, draws=100, progress=steps)
    whole, less = report.scores
    assert (whole.system, whole.n_points, less.n_points, whole.pairs) == ("jvcr mine", 68, 66, 6)
    # The right shape in the wrong pose: no CVGTCE, but GTE.
    assert isinstance(whole.cvgtce, YawTable) and isinstance(whole.gte, YawTable)
    assert whole.cvgtce.image_mean == pytest.approx(0, abs=1e-3)
    assert whole.gte.bins[0] == pytest.approx(0, abs=1e-3) and whole.gte.bins[2] > 0.2
    assert steps.stages == {"jvcr mine, true boxes": 3} and steps.finished()
    assert report.to_dict()["systems"][0]["gte"]["bins"] == list(whole.gte.bins)
    assert "1 faces in 3 views" in report.to_text()
    five = frontal()
    five.markup = subset(MARKUP_68, (30, 36, 45, 48, 54), "five")
    with pytest.raises(ValueError, match="weights five: 5 landmarks; this benchmark takes 66 or 68"):
        views.evaluate(folder, {"five": five})


def test_table(make_table: MakeFolder, frontal: MakeRuntime, tmp_path: Path) -> None:
    folder = make_table(tmp_path, (0.0, 0.0, 70.0), ["val"] * 3)
    steps = Steps()
    report = table.evaluate(folder, {"mine": frontal(), "shifted": frontal(1 / 16)}, mirror=False, progress=steps)
    mine, shifted = report.networks["mine"].errors, report.networks["shifted"].errors
    assert (mine.faces, mine.nme.counts) == (3, (2, 0, 1))
    assert mine.nme.bins[0] == pytest.approx(0, abs=1e-5) and mine.nme.bins[2] > 0.1
    box = Box.around(Table(folder, "val").points[0])
    assert shifted.nme.bins[0] == pytest.approx(shift_ratio(box), rel=1e-4)
    assert steps.stages == {"jvcr mine": 3, "jvcr shifted": 3} and steps.finished()
    assert list(report.to_dict()) == ["validation rows, mine", "validation rows, shifted"]
    first, second = report.to_text().splitlines()
    assert first.startswith("validation rows, mine: NME 0.00 / nan / ") and second.endswith("68 points (ibug-68)")
    assert [row[0] for row in report.tables()[0].rows] == ["mine", "shifted"]
    assert "| mine | 0.00 | – |" in report.to_markdown()
    # A bin without a face is null, and one network needs no name.
    (record,) = table.evaluate(folder, {"mine": frontal()}).to_dict().values()
    assert record["nme"]["bins"][1] is None


class Middle:
    """A network of any markup that sees all of its landmarks in the middle of each crop."""

    image_size, confidence = 64, Confidence()

    def __init__(self, markup: object, crop_rule: object) -> None:
        self.markup, self.crop_rule = markup, crop_rule

    def __call__(self, crops: np.ndarray) -> Prediction:
        points = np.full((len(crops), self.markup.n_points, 3), 0.5, np.float32)  # type: ignore[attr-defined]
        return Prediction.from_volume(np.zeros((len(crops), 2, 3, 4), np.float32), points)


@pytest.mark.parametrize(("weights", "labels"), [("51", 68), ("71", 68), ("66", 68), ("68", 66)])
def test_weights_see_the_box_of_their_own_landmarks(
    make_table: MakeFolder, frontal: MakeRuntime, tmp_path: Path, weights: str, labels: int
) -> None:
    own = subset(MARKUP_68, tuple(range(17, 68)), "no-jaw") if weights == "51" else markup_from(weights)
    source = MARKUP_68 if labels == 68 else MARKUP_66
    folder = make_table(tmp_path, (0.0, 40.0, -70.0), ["val"] * 3)
    if labels == 66:
        with np.load(folder / "labels.npz") as file:
            arrays = {**file, "points": file["points"][:, list(INDICES_66_IN_68)]}
        np.savez(folder / "labels.npz", **arrays)
    network = Middle(own, frontal().crop_rule)
    report = table.evaluate(folder, {"mine": network}, mirror=False)  # type: ignore[dict-item]
    truth = Table(folder, "val").points
    seen = converted_points(truth, source, own)
    boxes = [Box.around(points) for points in (truth if seen is None else seen)]
    # What is scored: the labels' landmarks if the weights have them, else the weights' own.
    scored = own if weights in ("51", "66") else source
    target = converted_points(truth, source, scored)
    assert target is not None and report.networks["mine"].markup.name == scored.name
    # Every landmark is predicted in the middle of the box that the weights were shown.
    errors = []
    for points, box in zip(target, boxes, strict=True):
        around = Box.around(points)
        distance = np.linalg.norm(points[:, :2] - box.centre, axis=1).mean()
        errors.append(distance / math.sqrt(around.width * around.height))
    assert report.networks["mine"].errors.nme.image_mean == pytest.approx(np.mean(errors), rel=1e-4)


def test_robustness(heads: Path, frontal: MakeRuntime) -> None:
    steps = Steps()
    report = robustness.evaluate(heads, {"mine": frontal()}, mirror=False, refine=False, limit=0.3, progress=steps)
    rows = {row.condition: row for row in report.networks["mine"]}
    assert list(rows) == list(CONDITIONS)
    assert (report.samples, report.faces, report.look) == ("AFLW2000-3D", 4, "single pass")
    frontals = {name: row.nme.bins[0] for name, row in rows.items()}
    assert frontals[REFERENCE] == pytest.approx(0, abs=1e-5)
    # The network knows nothing of the pixels.
    for name in ("grey", "JPEG quality 10", "a tenth of the light", "40 % of the box covered", "box of 20 px"):
        assert rows[name].nme == rows[REFERENCE].nme
    # It follows the box: moved by 5 % of its size in some direction, it is off by that.
    box = Box.around(read_truth(heads).original_img[0])
    lengths = np.array([min(box.width, box.height), max(box.width, box.height)])
    low, high = 0.05 * lengths / math.sqrt(box.width * box.height)
    assert low <= frontals["box shifted by 5 %"] <= high
    assert frontals["box shifted by 15 %"] > 2 * frontals["box shifted by 5 %"]
    assert frontals["upside down"] > 0.5 and rows["upside down"].failures == 1
    assert steps.stages == {"jvcr mine": 4 * len(CONDITIONS)} and steps.finished()
    assert report.to_dict()["systems"]["mine"]["look"] == "single pass"
    assert report.tables()[0].title == "jvcr mine, AFLW2000-3D, single pass: NME by yaw and GTE, percent"


def test_detect(heads: Path, frontal: MakeRuntime) -> None:
    steps = Steps()
    report = detect.evaluate(heads, {"mine": frontal()}, detector="whole-image", progress=steps)
    alone, together = (result.scores for result in report.results)
    assert (alone.name, together.name) == ("detector whole-image", "with mine")
    found = [proposal.box for proposal in whole_image(np.zeros((150, 160, 3), np.uint8))]
    overlaps = [max(box.iou(Box.around(points)) for box in found) for points in read_truth(heads).original_img]
    assert alone.recall == np.mean([overlap >= HIT_OVERLAP for overlap in overlaps])
    # Four photos: upright, turned both ways by five angles and once upside down, and cut in seven ways.
    assert steps.stages == {"detector whole-image": 4 + 4 * 18, "with mine": 4 + 4 * 18} and steps.finished()
    assert [part.label for part in alone.by_roll] == ["0°", "±15°", "±30°", "±45°", "±60°", "±90°", "180°"]
    assert [part.count for part in alone.by_roll] == [4, 8, 8, 8, 8, 8, 4]
    assert report.to_dict()["finders"][0]["recall"] == alone.recall
    assert set(report.worst_sheets(4)) == {name for name, scores in _named(report) if scores < 1}
    assert not report.worst_sheets(0)
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra train")
    assert set(report.figures()) == {"detector whole-image", "with mine"}


def _named(report: detect.DetectReport) -> list[tuple[str, float]]:
    return [(result.scores.name, result.scores.recall) for result in report.results]


def test_paper_without_data_is_the_published_tables() -> None:
    report = paper.evaluate()
    assert [table.title.split(":")[0] for table in report.tables()] == [f"Table {n}" for n in ("I", "II", "III", "IV")]
    for table_ in report.tables():
        (ours,) = (row for row in table_.rows if row[0] == "jvcr")
        assert set(ours[1:-1]) <= {"not measured", "not measurable here"}
        assert ours[-1].startswith(("not measured: give --root", "not measurable here: "))
        assert all(row[-1] == "published" for row in table_.rows if row is not ours)
    assert report.measured == [] and report.to_text().startswith("Table I: ")


def test_paper_measures_what_the_folder_holds(heads: Path, frontal: MakeRuntime, tmp_path: Path) -> None:
    # One folder below is looked into, too.
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "below").symlink_to(heads)
    report = paper.evaluate(tmp_path / "data", weights={"mine": frontal()}, boxes="true", mirror=False, draws=100)
    (own,) = report.measured
    assert isinstance(own, aflw2000.Aflw2000Report)
    (row,) = report.aflw2000
    assert row.name == "jvcr mine, true boxes" and row.source == "measured here, 4 of its 2,000 images"
    assert row.bins == pytest.approx([100 * value for value in nme(own).bins])
    assert report.to_text().startswith(own.to_text() + "\n\nTable I: ")
    assert report.to_dict()["tables"][3]["rows"][-1][0] == row.name
    with pytest.raises(FileNotFoundError, match=r"neither AFLW2000-3D .* nor a training table"):
        paper.evaluate(tmp_path)  # two folders below is too far


def test_names_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("image00007\n\n  image00014 \n")
    assert read_names(tmp_path / "names.txt") == {"image00007", "image00014"}
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(ValueError, match=r"empty\.txt: is empty; expected names of images"):
        read_names(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match=r"no\.txt: no such file; expected names of images"):
        read_names(tmp_path / "no.txt")
