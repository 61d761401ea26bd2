from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.data.convert import Storage, convert
from jvcr.data.cutting import cut
from jvcr.data.formats.readers import read_samples
from jvcr.data.reading import Samples
from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.frames import Box
from jvcr.images import ImageError, read_image, write_image
from jvcr.markups.markup import MARKUP_66, MARKUP_68

MakeHead = Callable[..., np.ndarray]
MakeLayout = Callable[[str], Any]

TRAIN = Storage(split="train")


def points_source(table: Table, row: int) -> np.ndarray:
    """(N, 3) a row's landmarks in pixels of the image that the stored one was cut from, by the stored origin."""
    x, y, scale = table.origin[row]
    return table.points[row].astype(np.float64) * scale + (x, y, 0.0)


@pytest.fixture
def faces(make_head: MakeHead) -> list[Sample]:
    """Six faces of three people."""
    image = np.random.default_rng(0).integers(0, 256, (90, 100, 3), dtype=np.uint8)
    heads = [make_head(10 * number, eyes_px=24) for number in range(6)]
    return [
        Sample(f"face{number}", image, points, group=f"person{number // 2}", source="mine", split="train")
        for number, points in enumerate(heads)
    ]


# --- Round trip


@pytest.mark.parametrize("size_px", [384, 24], ids=["copied", "reduced"])
def test_round_trip(layout: Any, size_px: int, tmp_path: Path) -> None:
    samples = read_samples(layout.format, layout.root, **layout.options)
    storage = replace(TRAIN, size_px=size_px, keep_incomplete=True)
    done = convert(samples, tmp_path / "table", storage)
    assert (done.rows, done.skipped) == (len(layout.points), ())
    table = Table(tmp_path / "table", "train", incomplete=True)
    with np.load(tmp_path / "table" / "labels.npz") as labels:
        names = dict(zip(labels["id"].tolist(), labels["name"].tolist(), strict=True))
    assert sorted(names.values()) == sorted(layout.points)
    for row, name in enumerate(table.names):
        np.testing.assert_allclose(points_source(table, row), layout.points[names[name]], atol=0.01)
        assert max(table[row].image.shape) <= size_px
        assert (table.origin[row, 2] > 1) == (size_px == 24)


def test_everything_a_sample_says_comes_back(make_layout: MakeLayout, tmp_path: Path) -> None:
    layout = make_layout("csv")
    before = list(read_samples("csv", layout.root, **layout.options))
    convert(iter(before), tmp_path / "table", Storage(margin=1.5))
    table = Table(tmp_path / "table", "val")
    assert table.names == ["face_2", "face_3"]
    for old, new in zip(before[2:], (table[0], table[1]), strict=True):
        for key in ("weight", "yaw_deg", "group", "source", "provenance", "markup", "split"):
            assert getattr(new, key) == getattr(old, key), key
    assert table.markup.name == "five"
    # The box is kept in pixels of the stored image.
    x, y, scale = table.origin[0]
    assert (x > 0 or y > 0, scale) == (True, 1)
    given = table[0].given_box
    assert given is not None
    np.testing.assert_allclose(given.to_list(), [20 - x, 10 - y, 80 - x, 80 - y], atol=1e-4)


def test_a_table_converts_to_itself(faces: list[Sample], tmp_path: Path) -> None:
    convert(iter(faces), tmp_path / "a", replace(TRAIN, image_format="png"))
    convert(read_samples("table", tmp_path / "a"), tmp_path / "b", Storage(image_format="png"))
    a, b = Table(tmp_path / "a", "train"), Table(tmp_path / "b", "train")
    assert (a.names, a.groups, a.provenances) == (b.names, b.groups, b.provenances)
    np.testing.assert_allclose(a.points, b.points, atol=1e-4)
    np.testing.assert_array_equal(a[3].image, b[3].image)


# --- Cutting


def test_a_small_square_is_copied() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    # Centre (12, 20), side 2 · 20 = 40: columns −8…32 and rows 0…40, of which the image has 0…32 and 0…39.
    part = cut(image, Box(2, 15, 22, 25), size_px=48, margin=2)
    np.testing.assert_array_equal(part.image, image[:, :33])
    assert (part.x, part.y, part.scale) == (0, 0, 1)
    part = cut(image, Box(30, 15, 40, 25), size_px=48, margin=2)
    np.testing.assert_array_equal(part.image, image[10:31, 25:46])
    assert (part.x, part.y, part.scale) == (25, 10, 1)


def test_no_side_is_longer_than_asked() -> None:
    image = np.zeros((90, 90, 3), np.uint8)
    # A square of 40 pixels from 19.6 to 59.6 touches 41 columns.
    assert cut(image, Box(29.6, 30.0, 49.6, 50.0), size_px=40, margin=2).image.shape == (40, 40, 3)


@pytest.mark.parametrize("margin", [1.2, 1.6, 3.0])
def test_landmarks_follow_the_pixels(margin: float) -> None:
    y, x = np.mgrid[0:300, 0:400]
    dot = np.array([[221.3, 117.8, 5.0]], np.float32)
    image = np.exp(-((x - dot[0, 0]) ** 2 + (y - dot[0, 1]) ** 2) / (2 * 9.0**2))[..., None] * [255, 255, 255]
    part = cut(image.astype(np.uint8), Box(150, 60, 290, 170), size_px=70, margin=margin)
    weight = part.image[..., 0].astype(np.float64)
    rows, columns = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]]
    centroid = [(weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()]
    stored = part.to_stored(dot)[0]
    np.testing.assert_allclose(stored[:2], centroid, atol=0.05)
    # 70 pixels for a square of margin · 140: z shrinks as x and y do.
    assert stored[2] == pytest.approx(5 / (2 * margin))
    np.testing.assert_allclose(stored * part.scale + (part.x, part.y, 0), dot[0], rtol=1e-6)


def test_nothing_is_stored_that_is_not_in_the_image() -> None:
    # White on white: the black that is put around an image, or a repeated edge of another size, would show.
    image = np.full((90, 120, 3), 255, np.uint8)
    part = cut(image, Box(80, -20, 118, 60), size_px=64, margin=2)
    height, width = part.image.shape[:2]
    assert part.image.min() == 255
    # The square of side 160 around (99, 20): columns 19…179, rows −60…100; 2.5 of its pixels are one stored.
    assert part.scale == 2.5
    assert 0 <= part.x + part.scale * (width - 1) <= 119 < part.x + part.scale * width
    assert 0 <= part.y < 2.5
    assert part.y + part.scale * (height - 1) <= 89


# --- The folder


def test_it_is_there_whole_or_not_at_all(faces: list[Sample], tmp_path: Path) -> None:
    def interrupted() -> Iterator[Sample]:
        yield from faces[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(interrupted(), tmp_path / "table", TRAIN)
    assert list(tmp_path.iterdir()) == []


def test_killed(faces: list[Sample], tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", faces[0].image)
    np.savez(tmp_path / "a.npz", image=np.array(["a.png"] * 60), points=np.stack([faces[0].points_img] * 60),
             id=np.arange(60).astype(str))  # fmt: skip
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom jvcr.data.convert import convert\n"
        "from jvcr.data.formats.readers import read_samples\nnumber = iter(range(99))\n"
        "convert(read_samples('npz', Path('a.npz')), Path('table'), on_sample=lambda: next(number) < 50 or os._exit(9))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert done.returncode == 9
    assert not (tmp_path / "table").exists()
    assert (tmp_path / "table.partial" / "images-0000.tar").stat().st_size > 0
    with pytest.raises(FileNotFoundError, match=r"labels\.npz: no such file"):
        Table(tmp_path / "table.partial", "train")
    with pytest.raises(FileExistsError, match=r"table\.partial: already exists, .* delete this folder"):
        convert(iter(faces), tmp_path / "table")


def test_nothing_is_overwritten(faces: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    assert convert(iter(faces), tmp_path / "table", TRAIN).rows == 6
    before = (tmp_path / "table" / "labels.npz").read_bytes()
    with pytest.raises(FileExistsError, match="table: already exists; choose another folder"):
        convert(iter(faces), tmp_path / "table", TRAIN)
    assert (tmp_path / "table" / "labels.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_tar_files_keep_to_their_size(faces: list[Sample], tmp_path: Path) -> None:
    done = convert(iter(faces), tmp_path / "table", replace(TRAIN, margin=9, image_format="png", shard_mb=0.06))
    paths = sorted((tmp_path / "table").glob("*.tar"))
    # 100 × 90 pixels of noise are a little over 27 kB as PNG: two fit into 60 kB.
    assert (len(paths), done.shards) == (3, 3)
    assert [path.name for path in paths] == ["images-0000.tar", "images-0001.tar", "images-0002.tar"]
    assert len(Table(tmp_path / "table", "train")) == 6


def test_original_bytes_are_kept(make_layout: MakeLayout, tmp_path: Path) -> None:
    layout = make_layout("300w-lp")
    convert(read_samples("300w-lp", layout.root), tmp_path / "table", replace(TRAIN, image_format="original"))
    table = Table(tmp_path / "table", "train")
    original = layout.root / "IBUG" / "IBUG_image_003_1_2.jpg"
    with tarfile.open(tmp_path / "table" / "images-0000.tar") as archive:
        member = archive.extractfile("IBUG_IBUG_image_003_1_2.jpg")
        assert member is not None and member.read() == original.read_bytes()
    np.testing.assert_array_equal(table[2].image, read_image(original))
    np.testing.assert_allclose(table[2].points_img, layout.points["IBUG/IBUG_image_003_1_2"], atol=2e-4)


# --- Bad samples


def test_bad_samples_are_left_out_and_named(faces: list[Sample], tmp_path: Path) -> None:
    points = faces[0].points_img
    unmarked, flat, outside = points.copy(), points.copy(), points + np.float32([500, 0, 0])
    unmarked[[3, 9]] = np.nan
    flat[:, 2] = np.nan
    bad = {
        "unmarked": replace(faces[0], name="unmarked", points_img=unmarked),
        "flat": replace(faces[0], name="flat", points_img=flat),
        "outside": replace(faces[0], name="outside", points_img=outside),
        "point": replace(faces[0], name="point", points_img=np.zeros_like(points)),
        "light": replace(faces[0], name="light", weight=0.0),
        "face1": faces[1],
        "short": replace(faces[0], name="short", points_img=points[:66]),
    }

    def read(sample: Sample | None) -> Sample:
        if sample is None:
            raise ImageError("photo.jpg: damaged")
        return sample

    reasons = {
        "unmarked": "2 landmarks are not marked",
        "flat": "its labels have no depth",
        "outside": "lie outside the image of 100 × 90 pixels",
        "point": "is empty",
        "light": "its weight is 0.0",
        "face1": "another sample has the same name",
        "short": "66 points, but its markup has 68",
        "": "photo.jpg: damaged",
    }
    done = convert(Samples([*faces, *bad.values(), None], read, ["a note"]), tmp_path / "table")
    assert done.rows == 6
    assert [skipped.name for skipped in done.skipped] == list(reasons)
    for skipped, reason in zip(done.skipped, reasons.values(), strict=True):
        assert reason in skipped.reason
    written = json.loads((tmp_path / "table" / "convert.json").read_text())
    assert [entry["name"] for entry in written["skipped"]] == list(reasons)
    assert written["notes"] == ["a note", "no row is in the split 'val', which training needs"]
    for sample in [*bad.values(), None]:
        with pytest.raises(ValueError, match=reasons[sample.name if sample else ""].replace("(", r"\(")):
            convert(Samples([*faces, sample], read), tmp_path / "other", Storage(on_bad="stop"))
    with pytest.raises(ValueError, match="no sample is left to store: 1 were bad; the first: flat: its labels have"):
        convert(iter([bad["flat"]]), tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_an_error_of_a_generator_is_not_taken_for_its_end(faces: list[Sample], tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield faces[0]
        raise ImageError("photo.jpg: damaged")

    with pytest.raises(ValueError, match=r"^photo\.jpg: damaged"):
        convert(broken(), tmp_path / "table")
    assert list(tmp_path.iterdir()) == []


def test_incomplete_labels_can_be_kept(faces: list[Sample], tmp_path: Path) -> None:
    points = faces[0].points_img.copy()
    points[7] = np.nan
    half = replace(faces[0], points_img=points)
    convert(iter([half, *faces[1:]]), tmp_path / "table", replace(TRAIN, keep_incomplete=True))
    with pytest.raises(ValueError, match=r"row face0 has a landmark that is not finite"):
        Table(tmp_path / "table", "train")
    table = Table(tmp_path / "table", "train", incomplete=True)
    assert np.isnan(table[0].points_img).sum() == 3
    # The mean depth is that of the marked landmarks.
    marked = np.delete(table[0].points_img, 7, axis=0)
    assert marked[:, 2].mean() == pytest.approx(0, abs=1e-5)
    assert table[0].box == half.box or table.origin[0, 0] > 0


def test_one_table_has_one_markup(faces: list[Sample], tmp_path: Path) -> None:
    other = replace(faces[1], markup=MARKUP_66, points_img=faces[1].points_img[:66])
    with pytest.raises(ValueError, match=r"face1: markup '3dfaw-66', but 'ibug-68' before; a table has one markup"):
        convert(iter([faces[0], other]), tmp_path / "table")


def test_names_that_a_file_cannot_have(faces: list[Sample], tmp_path: Path) -> None:
    names = ["a/b.c", "a.b/c", "A/b c", "é", "x.webp"]
    samples = [replace(face, name=name) for face, name in zip(faces, names, strict=False)]
    convert(iter(samples), tmp_path / "table", TRAIN)
    with np.load(tmp_path / "table" / "labels.npz") as labels:
        stored = dict(zip(labels["name"].tolist(), labels["id"].tolist(), strict=True))
    assert stored == {"a/b.c": "a_b_c", "a.b/c": "a_b_c-2", "A/b c": "A_b_c-3", "é": "_", "x.webp": "x_webp"}
    table = Table(tmp_path / "table", "train")
    row = table.names.index("A_b_c-3")
    np.testing.assert_allclose(points_source(table, row), samples[2].points_img, atol=1e-3)


# --- Splits


def split_of(folder: Path) -> dict[str, str]:
    with np.load(folder / "labels.npz") as labels:
        return dict(zip(labels["name"].tolist(), labels["split"].tolist(), strict=True))


def test_splits(faces: list[Sample], tmp_path: Path) -> None:
    mixed = [replace(face, split="val" if number == 5 else "") for number, face in enumerate(faces)]
    storage = Storage(val_share=0.5)
    done = convert(iter(mixed), tmp_path / "auto", storage)
    # By hand: the upper half of the CRC's range is train.
    in_val = {f"person{k}": zlib.crc32(f"person{k}".encode()) < 2**31 for k in range(3)}
    assert set(in_val.values()) == {True, False}
    by_hash = {face.name: "val" if in_val[face.group] else "train" for face in faces}
    assert split_of(tmp_path / "auto") == by_hash | {"face5": "val"}
    torn = [note for note in done.notes if "groups are in several splits" in note]
    assert len(torn) == (not in_val["person2"])
    convert(iter(mixed[::-1]), tmp_path / "hash", replace(storage, split="hash"))
    assert split_of(tmp_path / "hash") == by_hash
    convert(iter(faces), tmp_path / "one", Storage(split="test"))
    assert set(split_of(tmp_path / "one").values()) == {"test"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_px": 8},
        {"margin": 0.9},
        {"margin": float("nan")},
        {"quality": 0},
        {"shard_mb": 0.0},
        {"val_share": 1.0},
        {"image_format": "gif"},
        {"on_bad": "no"},
        {"split": "a b"},
    ],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Storage(**wrong)


# --- Use


def test_a_converted_table_trains(make_layout: MakeLayout, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from jvcr.model.config import PRESETS
    from jvcr.train.config import Stage, TrainConfig
    from jvcr.train.data.backgrounds import Backgrounds
    from jvcr.train.landmarks import LandmarkTask
    from jvcr.train.loop import Hardware, Loop

    class Silent:
        def on_progress(self, progress: object) -> None: ...

        def on_validation(self, samples: int, result: object) -> None: ...

    layout = make_layout("csv")
    convert(read_samples("csv", layout.root, **layout.options), tmp_path / "table")
    table, validation = Table(tmp_path / "table", "train"), Table(tmp_path / "table", "val")
    assert (len(table), len(validation), table.markup.n_points) == (2, 2, 5)
    stages = (Stage("first", 4, False, 20.0, lr=1e-3, final_lr=1e-3), Stage("second", 4, True, 20.0, 1e-3, 1e-4))
    config = TrainConfig(
        model=PRESETS["tiny"], stages=stages, batch_size=2, precision="32-true", validate_every=8, workers=0
    )
    out = tmp_path / "run"
    training = Loop(
        LandmarkTask(config, table.markup, table, validation, Backgrounds()), out, Silent(), Hardware("cpu")
    )
    assert training.run() is not None
    from jvcr.model.checkpoint import load_weights

    _, header = load_weights(out / "model.safetensors")
    assert (header.markup, header.config.n_points) == (table.markup, 5)


def jvcr(*arguments: object) -> Any:
    """``jvcr data convert`` in this process."""
    return CliRunner().invoke(app, ["data", "convert", *map(str, arguments)])


def test_command_line(make_layout: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = make_layout("pts").root
    command = [sys.executable, "-m", "jvcr.cli.app", "data", "convert", "pts", "data", "table"]
    command += ["--option", "base=1", "--option", "z=towards", "--val-share", "0.5", "--size", "64"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("→ table: ") and "in 1 tar files" in done.stdout
    assert len(Table(tmp_path / "table", None)) == 4
    about = json.loads((tmp_path / "table" / "convert.json").read_text())
    assert (about["format"], about["options"]) == ("pts", {"base": "1", "z": "towards"})
    # One that cannot be read: the others are written, and the exit code tells.
    (root / "set" / "face[2].jpg").write_bytes(b"no picture")
    result = jvcr("pts", "data", "rest")
    assert (result.exit_code, "; 1 left out" in result.stdout) == (1, True)
    assert "left out: data/set/face[2].jpg: not an image" in result.stderr
    assert len(Table(tmp_path / "rest", None)) == 3
    assert jvcr("pts", "data", "fine", "--on-bad", "accept").exit_code == 0
    result = jvcr("pts", "data", "none", "--on-bad", "stop")
    assert (result.exit_code, result.stdout) == (1, "")
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "none.partial").exists()


def test_faces_without_depth_count_as_left_out(
    make_layout: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = make_layout("300w-lp").root
    for folder, ending in (("IBUG", ".jpg"), ("landmarks/IBUG", "_pts.mat")):
        old = root / folder / f"IBUG_image_003_1_0{ending}"
        old.with_name(f"IBUG_image_004_0{ending}").write_bytes(old.read_bytes())
    (root / "landmarks" / "IBUG" / "IBUG_image_003_1_2_pts.mat").write_bytes(b"junk")
    arguments = ("300w-lp", "data", "--option", "unsolved=skip")
    result = jvcr(*arguments[:2], "rest", *arguments[2:])
    assert (result.exit_code, "; 2 left out" in result.stdout) == (1, True)
    assert "left out: IBUG/IBUG_image_004_0: no depth: 1 view of this face" in result.stderr
    assert len(Table(tmp_path / "rest", None)) == 3
    assert jvcr(*arguments[:2], "fine", *arguments[2:], "--on-bad", "accept").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ptss", ".", "out"), r"did you mean 'pts'\?"),
        (("pts", ".", "out", "--option", "base"), "expected KEY=VALUE"),
        (("pts", ".", "out", "--option", "base=1", "--option", "base=0"), "--option base is given more than once"),
        (("pts", ".", "out", "--on-bad", "no"), "expected skip, accept or stop"),
        (("pts", ".", "out", "--image-format", "gif"), "image format 'gif' is unknown"),
    ],
)
def test_command_line_errors(arguments: tuple[str, ...], message: str) -> None:
    # The command's `main` prints such an error and makes it exit code 1.
    with pytest.raises(ValueError, match=message):
        raise jvcr(*arguments).exception or AssertionError


def test_markup_of_68_is_stored(faces: list[Sample], tmp_path: Path) -> None:
    convert(iter(faces), tmp_path / "table", TRAIN)
    assert Table(tmp_path / "table", "train").markup == MARKUP_68


def test_openings_hand_marks_and_visibility_are_kept(faces: list[Sample], tmp_path: Path) -> None:
    marks = np.asarray(faces[0].points_img[:, :2] + 0.5, np.float32)
    marks[3] = np.nan
    seen = np.zeros(len(marks), np.int8)
    seen[5] = 2
    first = replace(faces[0], openings="hand", hand2d=marks, visibility=seen)
    convert(iter([first, *faces[1:]]), tmp_path / "a", replace(TRAIN, size_px=24))
    table = Table(tmp_path / "a", "train")
    row = table.names.index(first.name.replace("/", "_"))
    x, y, scale = table.origin[row]
    assert scale > 1  # the stored image is reduced
    np.testing.assert_allclose(table.hand2d[row] * scale + (x, y), marks, atol=1e-3)
    assert table.openings[row] == "hand" and table.visibility[row].tolist() == seen.tolist()
    others = [number for number in range(len(table)) if number != row]
    assert np.isnan(table.hand2d[others]).all() and {table.openings[number] for number in others} == {""}
    # And from a table to a table.
    convert(read_samples("table", tmp_path / "a"), tmp_path / "b", Storage(image_format="png"))
    again = Table(tmp_path / "b", "train")
    np.testing.assert_allclose(points_source(again, row)[:, :2].mean(), table.points[row, :, :2].mean(), atol=1e-3)
    np.testing.assert_array_equal(again.visibility, table.visibility)


def test_a_table_stores_no_column_that_says_nothing(faces: list[Sample], tmp_path: Path) -> None:
    convert(iter(faces), tmp_path / "a", TRAIN)
    with np.load(tmp_path / "a" / "labels.npz") as labels:
        assert not {"openings", "hand2d", "visibility"} & set(labels)


def test_hand_marks_of_another_number_are_refused(faces: list[Sample], tmp_path: Path) -> None:
    bad = replace(faces[0], hand2d=np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match=r"hand marks have shape \(3, 2\); expected \(68, 2\)"):
        convert(iter([bad]), tmp_path / "a", replace(TRAIN, on_bad="stop"))
