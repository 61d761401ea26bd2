from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jvcr.evaluate.predictions import PredictionSet, read_predictions, write_predictions
from jvcr.markups.file import markup_from
from jvcr.markups.markup import MARKUP_66, MARKUP_68, subset

THREE = subset(MARKUP_68, (36, 45, 30), "three")


def predictions(axes: int = 3) -> PredictionSet:
    landmarks = np.random.default_rng(0).normal(100, 30, (4, 3, axes))
    landmarks[2] = np.nan
    boxes = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [np.nan] * 4, [0.5, 0.25, 9, 9]])
    about = {"tool": "ruler", "version": "2", "boxes": "by hand", "date": "2026-01-01"}
    return PredictionSet(["d", "a", "c", "b"], landmarks, boxes, THREE, about)


@pytest.mark.parametrize("ending", [".npz", ".jsonl"])
@pytest.mark.parametrize("axes", [2, 3])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str, axes: int) -> None:
    path = tmp_path / "new" / f"file{ending}"
    before = predictions(axes)
    write_predictions(path, before)
    after = read_predictions(path)
    assert (after.ids, after.markup, after.about) == (before.ids, before.markup, before.about)
    np.testing.assert_array_equal(after.landmarks_img, before.landmarks_img)
    np.testing.assert_array_equal(after.boxes, before.boxes)
    assert after.has_depth == (axes == 3)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".npz", ".jsonl"])
def test_without_boxes_there_are_none(tmp_path: Path, ending: str) -> None:
    write_predictions(tmp_path / f"file{ending}", replace(predictions(), boxes=None))
    assert read_predictions(tmp_path / f"file{ending}").boxes is None


def test_the_smallest_npz(tmp_path: Path) -> None:
    landmarks = np.ones((2, 68, 2), np.float32)
    np.savez(tmp_path / "file.npz", id=np.array(["one", "two"]), landmarks=landmarks)
    got = read_predictions(tmp_path / "file.npz")
    assert (got.ids, got.markup, got.boxes, got.about) == (["one", "two"], MARKUP_68, None, {})


def test_a_markup_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", id=np.array(["one"]), landmarks=np.ones((1, 66, 3)), markup="3dfaw-66")
    assert read_predictions(tmp_path / "file.npz").markup == MARKUP_66


@pytest.mark.parametrize("name", ["71", "jvcr-71", "21", "aflw-like-21", "synthetic-200", "66"])
def test_every_built_in_markup_by_name(name: str, tmp_path: Path) -> None:
    markup = markup_from(name)
    points = np.ones((1, markup.n_points, 3))
    np.savez(tmp_path / "file.npz", id=np.array(["one"]), landmarks=points, markup=name)
    assert read_predictions(tmp_path / "file.npz").markup == markup
    head = json.dumps({"markup": name, "about": {}})
    (tmp_path / "a.jsonl").write_text(f"{head}\n" + json.dumps({"id": "one", "landmarks": points[0].tolist()}))
    assert read_predictions(tmp_path / "a.jsonl").markup == markup
    # It is written by its own name, not as JSON.
    write_predictions(tmp_path / "again.npz", PredictionSet(["one"], points, markup=markup))
    with np.load(tmp_path / "again.npz") as file:
        assert str(file["markup"]) == markup.name


def test_the_smallest_json_lines(tmp_path: Path) -> None:
    points = [[float(i), 2.0, 3.0] for i in range(68)]
    lines = [json.dumps({"id": "one", "landmarks": points}), "", '{"id": "two", "landmarks": null}']
    (tmp_path / "file.jsonl").write_text("\n".join(lines))
    got = read_predictions(tmp_path / "file.jsonl")
    assert got.ids == ["one", "two"]
    assert got.landmarks_img[0].tolist() == points
    assert np.isnan(got.landmarks_img[1]).all()


def test_in_the_order_of_the_photos() -> None:
    given = predictions()
    got = given.of(["b", "nobody", "a", "c"])
    assert got.shape == (4, 3, 3)
    np.testing.assert_array_equal(got[[0, 2]], given.landmarks_img[[3, 1]])
    assert np.isnan(got[[1, 3]]).all()
    with pytest.raises(
        ValueError, match="none of its 4 ids is the name of one of the 2 photos; an id is 'd', a name is"
    ):
        given.of(["image1", "image2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["d", "a", "d", "b"]}, "'d' appears more than once"),
        ({"ids": ["d", "a"]}, "2 ids, but landmarks of 4 faces"),
        ({"markup": MARKUP_66}, "3 landmarks per face, but markup '3dfaw-66' has 66"),
        ({"landmarks_img": np.ones((4, 3, 4))}, r"expected floats \(B, N, 2\) or \(B, N, 3\)"),
        ({"landmarks_img": np.ones((4, 3, 3), int)}, "expected floats"),
        ({"boxes": np.ones((4, 2))}, r"box has shape \(4, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(predictions(), **change)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_half_a_face_is_refused(value: float) -> None:
    landmarks = predictions().landmarks_img
    landmarks[1, 0, 2] = value
    with pytest.raises(ValueError, match="id 'a': some coordinates are not finite"):
        replace(predictions(), landmarks_img=landmarks)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"id": np.array(["one"])}, r"\['landmarks'\] are missing"),
        ({"id": np.array([3]), "landmarks": np.ones((1, 68, 3))}, "expected text"),
        ({"id": np.array(["one"], object), "landmarks": np.ones((1, 68, 3))}, "allow_pickle"),
        ({"id": np.array(["one"]), "landmarks": np.ones((1, 68, 3)), "about": "tool"}, "Expecting value"),
        ({"id": np.array(["one"]), "landmarks": np.ones((1, 68, 3)), "about": "[1]"}, "about is a list"),
        ({"id": np.array(["one"]), "landmarks": np.ones((1, 68, 3)), "markup": "faces"}, "markup 'faces' is unknown"),
    ],
)
def test_bad_npz_files_are_named(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    np.savez(tmp_path / "file.npz", **arrays)
    with pytest.raises(ValueError, match=rf"file\.npz: .*{message}"):
        read_predictions(tmp_path / "file.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "one", "landmarks": null}\n{"id": "two"}', "line 2: expected id and landmarks, found"),
        ('{"id": "one", "landmarks": null}\n{"id": "two",', "line 2: "),
        ("[1, 2]", "line 1: a list, expected an object"),
        ('{"about": "me"}', "line 1: about is a str"),
        ('{"id": "one", "landmarks": [[1, 2], [3]]}', "line 1: "),
        (
            '{"id": "a", "landmarks": [[1, 2]]}\n{"id": "b", "landmarks": [[1, 2, 3]]}',
            "landmarks have different shapes",
        ),
        ('{"id": "one", "landmarks": [[1, 2, 3]]}', "1 landmarks per face, but markup 'ibug-68' has 68"),
    ],
)
def test_bad_json_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "file.jsonl").write_text(text)
    with pytest.raises(ValueError, match=rf"file\.jsonl: {message}"):
        read_predictions(tmp_path / "file.jsonl")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"file\.npz: no such file"):
        read_predictions(tmp_path / "file.npz")
    (tmp_path / "file.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ValueError, match=r"file\.npz: "):
        read_predictions(tmp_path / "file.npz")
    (tmp_path / "file.txt").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"ending '\.txt' is unknown"):
        read_predictions(tmp_path / "file.txt")
    with pytest.raises(ValueError, match=r"ending '\.csv' is unknown; expected \.npz or \.jsonl"):
        write_predictions(tmp_path / "file.csv", predictions())
