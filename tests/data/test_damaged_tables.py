"""Training, conversion and the data check refuse the same damaged tables, with the same message."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.data.face_photos import split_of
from jvcr.data.labels import NEEDED, OPTIONAL, label_faults
from jvcr.data.table import Table
from jvcr.images import decode_image
from jvcr.markups.markup import MARKUP_66

MakeTable = Callable[..., Path]

ROWS = 6
IDS = np.array([f"face{row}" for row in range(ROWS)])
ONE_INVERTED = np.tile([10.0, 10.0, 50.0, 60.0], (ROWS, 1))
ONE_INVERTED[2] = [50, 10, 10, 60]
HALF_A_BOX = np.tile([10.0, 10.0, 50.0, np.nan], (ROWS, 1))


def changed(**arrays: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with np.load(path) as file:
            old = {key: file[key] for key in file.files}
        np.savez(path, **{key: value for key, value in (old | arrays).items() if value is not None})

    return change


def with_value(values: np.ndarray, row: int, value: float) -> np.ndarray:
    values[row] = value
    return values


def in_points(value: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with np.load(path) as file:
            points = file["points"]
        points[1, 3, 0] = value
        changed(points=points)(path)

    return change


def halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def cut_inside(path: Path, name: str, before: bool = False) -> None:
    with tarfile.open(path) as archive:
        member = archive.getmember(name)
    path.write_bytes(path.read_bytes()[: member.offset if before else member.offset_data + 100])


def save_alone(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "fewer ids than rows": (changed(id=IDS[:2]), "array split is text of shape (6,); expected one text for each of"),
    "one id for all": (changed(id=np.array("face0")), "array id is text of shape (); expected one text per row"),
    "a table of ids": (changed(id=IDS.reshape(2, 3)), "array id is text of shape (2, 3); expected one text per row"),
    "numbers as ids": (changed(id=np.arange(ROWS)), "array id is int64 of shape (6,); expected one text per row"),
    "no rows": (changed(id=IDS[:0]), "array id is empty; expected at least one row"),
    "a nameless row": (changed(id=np.array(["", *IDS[1:]])), "array id holds ''; expected names of images"),
    "short weights": (changed(weight=np.ones(4)), "array weight is float64 of shape (4,); expected numbers of shape"),
    "text as weights": (changed(weight=np.full(ROWS, "1")), "array weight is text of shape (6,); expected numbers"),
    "flat points": (changed(points=np.zeros((ROWS, 68, 2))), "array points is float64 of shape (6, 68, 2); expected"),
    "text as points": (changed(points=np.full((ROWS, 68, 3), "1")), "array points is text of shape (6, 68, 3)"),
    "complex points": (changed(points=np.zeros((ROWS, 68, 3), complex)), "array points is complex128 of shape"),
    "no points": (changed(points=None), "arrays ['points'] are missing; found ["),
    "an inverted box": (changed(box=ONE_INVERTED), "row face2 has box [50.0, 10.0, 10.0, 60.0]; expected x0 < x1"),
    "half a box": (changed(box=HALF_A_BOX), "row face0 has box [10.0, 10.0, 50.0, nan]; expected x0 < x1"),
    "boxes of three numbers": (changed(box=np.ones((ROWS, 3))), "array box is float64 of shape (6, 3); expected"),
    "an origin without scale": (changed(origin=np.zeros((ROWS, 3))), "row face0 has origin [0.0, 0.0, 0.0]"),
    "an infinite yaw": (changed(yaw_deg=np.full(ROWS, np.inf)), "row face0 has yaw_deg inf; expected degrees"),
    "marks of other points": (changed(hand2d=np.ones((ROWS, 5, 2))), "array hand2d is float64 of shape (6, 5, 2)"),
    "text as visibility": (changed(visibility=np.full((ROWS, 68), "0")), "array visibility is text of shape (6, 68)"),
    "NaN as visibility": (
        changed(visibility=np.full((ROWS, 68), np.nan)),
        "array visibility is float64 of shape (6, 68",
    ),
    "an unknown visibility": (
        changed(visibility=np.full((ROWS, 68), 9)),
        "row face0 has a visibility of 9; expected -1,",
    ),
    "unknown openings": (changed(openings=np.full(ROWS, "wide")), "row face0 has openings 'wide'; expected hand, mesh"),
    "a weight of NaN": (
        changed(weight=with_value(np.ones(ROWS), 1, np.nan)),
        "row face1 has weight nan; expected above",
    ),
    "a weight of 0": (changed(weight=with_value(np.ones(ROWS), 1, 0)), "row face1 has weight 0; expected above 0, at"),
    "a weight of 2": (changed(weight=with_value(np.ones(ROWS), 1, 2)), "row face1 has weight 2; expected above 0, at"),
    "weights as dates": (changed(weight=np.zeros(ROWS, "M8[s]")), "array weight is datetime64[s] of shape (6,)"),
    "weights as truth values": (changed(weight=np.ones(ROWS, bool)), "array weight is bool of shape (6,); expected"),
    "an infinite landmark": (in_points(np.inf), "row face1 has a landmark that is not finite, or incomplete: number 3"),
    "a landmark far away": (in_points(1e30), "row face1 has 1e+30 in array points; expected pixels, at most 1,000,000"),
    "infinite marks": (
        changed(hand2d=np.full((ROWS, 68, 2), np.inf)),
        "row face0 has an infinite number in array hand",
    ),
    "bytes as ids": (changed(id=IDS.astype("S")), "array id is bytes of shape (6,); expected one text per row"),
    "an id twice": (changed(id=np.array(["face0", *IDS[:-1]])), "array id holds 'face0' more than once; expected one"),
    "a markup that is not JSON": (changed(markup=np.array("{")), "array markup is not the JSON of Markup.to_dict() ("),
    "a markup of other points": (
        changed(markup=np.array(json.dumps(MARKUP_66.to_dict()))),
        "68 points a face, but mar",
    ),
    "objects": (changed(source=np.array([{}] * ROWS, object)), "cannot be read as an .npz file of plain arrays (Objec"),
    "no labels": (Path.unlink, "no such file; expected a training table (labels.npz and *.tar)"),
    "empty labels": (lambda path: path.write_bytes(b""), "cannot be read as an .npz file of plain arrays (No data"),
    "labels cut short": (lambda path: halve(path), "cannot be read as an .npz file of plain arrays (File is not a"),
    "one array instead of a file": (lambda path: save_alone(path), "cannot be read as an .npz file of plain arrays ("),
    "numbers as groups": (changed(group=np.arange(ROWS)), "array group is int64 of shape (6,); expected one text"),
}


ARCHIVES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a member of 2^62 bytes": (
        lambda path: huge_member(path),
        f"face0.webp has {2**62} bytes by its header, but the tar",
    ),
    "cut short": (lambda path: cut_inside(path, "face4.webp"), "bytes by its header, but the tar file ends at"),
    "gone": (Path.unlink, "face0 is in no *.tar of "),
    "cut between two members": (lambda path: cut_inside(path, "face4.webp", before=True), "face4 is in no *.tar of "),
    "empty": (lambda path: path.write_bytes(b""), "not an uncompressed tar file, or damaged (empty file)"),
    "something else": (lambda path: path.write_bytes(b"x" * 5000), "not an uncompressed tar file, or damaged (invalid"),
}

FACES = {"id": np.array(["a", "b"]), "image": np.array([0]), "box": np.array([[1.0, 1, 9, 9]]), "score": np.ones(1)}
PHOTO_DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no boxes": ({"box": None}, "arrays ['box'] are missing; found ['id', 'image', 'score']"),
    "one id for all": ({"id": np.array("a")}, "array id is text of shape (); expected one text per photograph"),
    "an id twice": ({"id": np.array(["a", "a"])}, "array id holds 'a' more than once; expected one row per photograph"),
    "fractions as indices": ({"image": np.array([0.5])}, "array image is float64 of shape (1,); expected one index"),
    "an index too large": ({"image": np.array([2])}, "face 0 has image 2; expected an index into the 2 entries of id"),
    "a short box": ({"box": np.ones((1, 3))}, "array box is float64 of shape (1, 3); expected numbers of shape (1, 4)"),
    "an inverted box": ({"box": np.array([[9.0, 1, 1, 9]])}, "face 0 has box [9.0, 1.0, 1.0, 9.0]; expected x0 < x1"),
    "text as scores": ({"score": np.array(["1"])}, "array score is text of shape (1,); expected numbers of shape (1,)"),
    "a score of NaN": ({"score": np.array([np.nan])}, "face 0 has a score of NaN; expected a number"),
    "objects": ({"score": np.array([{}], object)}, "cannot be read as an .npz file of plain arrays (Object arrays"),
}


def huge_member(path: Path) -> None:
    """Of a size that no disk holds; the sizes in a header are not checked by whoever copies the file."""
    data = bytearray(path.read_bytes())
    header = bytearray(data[:512])
    header[124:136] = b"\x80" + (2**62).to_bytes(11, "big")
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(header + data[512:])


def refusals(folder: Path, out: Path, which: tuple[str, ...] = ("check", "convert", "train")) -> dict[str, str]:
    """What each command says of a table, by name; it must not succeed."""
    commands = {
        "check": ["data", "check", str(folder), "--no-duplicates"],
        "convert": ["data", "convert", "table", str(folder), str(out / "table")],
        "train": ["train", "--data", str(folder), "--out", str(out / "run"), "--preset", "tiny"],
    }
    said = {}
    for name in which:
        arguments = commands[name]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code != 0 or done.exception is not None, f"{name} took it: {done.output}"
        said[name] = f"{done.output} {done.exception}"
    assert not (out / "table").exists() and not (out / "run" / "last.ckpt").exists()
    return said


@pytest.mark.parametrize("what", DAMAGES)
def test_all_commands_refuse_it_with_the_same_words(make_table: MakeTable, tmp_path: Path, what: str) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    damage, message = DAMAGES[what]
    (tmp_path / "data").mkdir()
    folder = make_table(tmp_path / "data", (5, -20, 45, -75, 10, 40), ("train",) * 4 + ("val",) * 2)
    damage(folder / "labels.npz")
    for command, said in refusals(folder, tmp_path).items():
        assert message in said, f"{command}: {said}"
        assert "labels.npz" in said, command


@pytest.mark.parametrize("what", ARCHIVES)
def test_all_commands_refuse_an_archive_with_the_same_words(make_table: MakeTable, tmp_path: Path, what: str) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    damage, message = ARCHIVES[what]
    (tmp_path / "data").mkdir()
    folder = make_table(tmp_path / "data", (5, -20, 45, -75, 10, 40), ("train",) * 4 + ("val",) * 2)
    damage(folder / "faces.tar")
    for command, said in refusals(folder, tmp_path).items():
        assert message in said, f"{command}: {said}"
        assert "faces.tar" in said or "*.tar of" in said, command


@pytest.mark.parametrize("what", PHOTO_DAMAGES)
def test_training_and_check_refuse_labels_of_photographs_with_the_same_words(
    make_table: MakeTable, tmp_path: Path, what: str
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    change, message = PHOTO_DAMAGES[what]
    (tmp_path / "data").mkdir()
    folder = make_table(tmp_path / "data", (5, -20, 45, -75, 10, 40), ("train",) * 4 + ("val",) * 2)
    arrays = {key: value for key, value in (FACES | change).items() if value is not None}
    np.savez(folder / "detect_labels.npz", **arrays)
    # Conversion does not read these labels.
    for command, said in refusals(folder, tmp_path, ("check", "train")).items():
        assert message in said, f"{command}: {said}"
        assert "detect_labels.npz" in said, command


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.nan, "row face1 has a landmark that is not finite, or incomplete: number 3 of array points"),
        (None, "row face1 has an empty landmark box: the x or y of all its points are equal"),
    ],
)
def test_conversion_leaves_out_by_name_what_training_refuses(
    make_table: MakeTable, tmp_path: Path, points: float | None, message: str
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    (tmp_path / "data").mkdir()
    folder = make_table(tmp_path / "data", (5, -20, 45, -75, 10, 40), ("train",) * 4 + ("val",) * 2)
    with np.load(folder / "labels.npz") as file:
        values = file["points"]
    values[(1, 3, 0) if points is not None else (1, slice(None))] = 5 if points is None else points
    changed(points=values)(folder / "labels.npz")
    for command, said in refusals(folder, tmp_path, ("check", "train")).items():
        assert "labels.npz: " + message in said, f"{command}: {said}"
    done = CliRunner().invoke(app, ["data", "convert", "table", str(folder), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "left out: face1: " in done.output and "1 left out" in done.output
    assert len(Table(tmp_path / "out", None)) == ROWS - 1


def test_a_member_larger_than_its_file(make_table: MakeTable, tmp_path: Path) -> None:
    folder = make_table(tmp_path, (5, -20))
    huge_member(folder / "faces.tar")
    with pytest.raises(ValueError, match=rf"faces\.tar: .*face0\.webp has {2**62} bytes by its header, but .* ends at"):
        Table(folder, "train")


def test_an_id_twice_is_refused(make_table: MakeTable, tmp_path: Path) -> None:
    make_table(tmp_path, (5, -20))
    changed(id=np.array(["face0", "face0"]))(tmp_path / "labels.npz")
    with pytest.raises(ValueError, match="array id holds 'face0' more than once"):
        Table(tmp_path, "train")


def test_objects_are_not_unpickled(make_table: MakeTable, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was loaded",))

    make_table(tmp_path, (5, -20))
    changed(source=np.array([Trap(), Trap()], dtype=object))(tmp_path / "labels.npz")
    with pytest.raises(ValueError, match=r"labels\.npz: cannot be read as an \.npz file of plain arrays"):
        Table(tmp_path, "train")


def test_a_member_that_is_no_array_is_refused(make_table: MakeTable, tmp_path: Path) -> None:
    # NumPy gives such a member's bytes.
    make_table(tmp_path, (5, -20))
    with zipfile.ZipFile(tmp_path / "labels.npz") as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["weight.npy"] = b"not " + members["weight.npy"]
    with zipfile.ZipFile(tmp_path / "labels.npz", "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    with pytest.raises(ValueError, match=r"labels\.npz: cannot be read .*member weight is not an array"):
        Table(tmp_path, "train")
    checked = CliRunner().invoke(app, ["data", "check", str(tmp_path), "--no-duplicates"])
    assert "member weight is not an array" in checked.output and checked.exit_code == 1


def test_a_good_table_has_no_fault(make_table: MakeTable, tmp_path: Path) -> None:
    optional = {
        "group": IDS,
        "provenance": IDS,
        "openings": np.full(ROWS, "hand"),
        "yaw_deg": np.full(ROWS, np.nan, np.float32),
        "box": np.full((ROWS, 4), np.nan, np.float32),
        "origin": np.full((ROWS, 3), np.nan),
        "hand2d": np.full((ROWS, 68, 2), np.nan, np.float32),
        "visibility": np.full((ROWS, 68), -1, np.int8),
    }
    assert optional.keys() == set(OPTIONAL)
    make_table(tmp_path, (5, -20, 45, -75, 10, 40), **optional)
    with np.load(tmp_path / "labels.npz") as file:
        assert set(NEEDED) <= set(file.files)
        assert label_faults(file) == []
    assert len(Table(tmp_path, "train")) == ROWS


def damage_image(archive: Path, name: str, keep: int = 8) -> None:
    """The member keeps its size; its bytes from ``keep`` on become zeros."""
    with tarfile.open(archive) as file:
        member = file.getmember(name)
    data = bytearray(archive.read_bytes())
    data[member.offset_data + keep : member.offset_data + member.size] = bytes(member.size - keep)
    archive.write_bytes(data)


def with_truncated_jpegs(folder: Path, names: tuple[str, ...]) -> None:
    """The images of a table as JPEG; those of ``names`` are cut off in their archive."""
    with tarfile.open(folder / "faces.tar") as old:
        images = {Path(m.name).stem: decode_image(old.extractfile(m).read(), m.name) for m in old}  # type: ignore[union-attr]
    with tarfile.open(folder / "faces.tar", "w") as new:
        for name, image in images.items():
            data = cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes()
            data = data[: len(data) // 3] if name in names else data
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("memory_gb", [4.0, 0.0])
def test_rows_with_damaged_images_are_left_out_on_request(
    make_table: MakeTable, tmp_path: Path, memory_gb: float
) -> None:
    make_table(tmp_path, (5, -20, 45, -75))
    with_truncated_jpegs(tmp_path, ("face1", "face2"))
    left_out: list[str] = []
    table = Table(tmp_path, "train", memory_gb=memory_gb, left_out=left_out)
    assert table.names == ["face0", "face3"] and len(table.points) == len(table.weights) == len(table.images) == 2
    assert [line.split(" (")[0] for line in left_out] == ["face1", "face2"]
    assert "faces.tar: face1.jpg: " in left_out[0]
    whole = Table(tmp_path, "train", memory_gb=0)
    np.testing.assert_array_equal(table[1].points_img, whole[3].points_img)
    np.testing.assert_array_equal(table[1].image, whole[3].image)
    damage_image(tmp_path / "faces.tar", "face0.jpg")
    damage_image(tmp_path / "faces.tar", "face3.jpg")
    with pytest.raises(ValueError, match=r"labels\.npz: no image of split 'train' can be decoded; the first: face0 \("):
        Table(tmp_path, "train", left_out=[])


@pytest.mark.parametrize("task", ["landmarks", "detect"])
def test_training_skips_damaged_images_on_request(
    make_table: MakeTable,
    make_photos: Callable[..., Path],
    tmp_path: Path,
    task: str,
    run_jvcr: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch (extra: train)")
    folder = tmp_path / "data"
    folder.mkdir()
    make_table(folder, (5, -20, 45, -75, 10, 40), ("train",) * 4 + ("val",) * 2)
    names = {f"imagenet{n}": [[40, 30, 90, 90]] * (n % 2) for n in range(40)}
    make_photos(folder, names)
    with_truncated_jpegs(folder, ("face1", "face4"))
    photo = next(name for name in names if split_of(name) == "train")
    (photos,) = (path for path in folder.glob("*.tar") if path.name != "faces.tar")
    damage_image(photos, f"{photo}.webp")
    preset = "tiny" if task == "landmarks" else "tiny-detector"
    command = ["train", "--data", str(folder), "--out", str(tmp_path / "run"), "--task", task, "--preset", preset]
    command += ["--samples", "64", "--minutes", "0", "--workers", "0"]
    done = run_jvcr(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert (".tar: face1.jpg: " if task == "landmarks" else f".tar: {photo}.webp: ") in done.stderr
    command += ["--on-bad", "skip"]
    done = run_jvcr(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("face1", "face4", photo):
        assert f"left out: {name} (" in done.stderr, done.stderr
    assert "3 damaged images left out" in done.stderr
    assert (tmp_path / "run" / "last.ckpt").is_file()


def test_check_finds_damaged_and_missing_photographs(
    make_table: MakeTable, make_photos: Callable[..., Path], tmp_path: Path
) -> None:
    make_table(tmp_path, (5, -20))
    make_photos(tmp_path, {"a": [[40, 30, 90, 90]], "b": []})
    (photos,) = (path for path in tmp_path.glob("*.tar") if path.name != "faces.tar")
    damage_image(photos, "b.webp")
    with np.load(tmp_path / "detect_labels.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "detect_labels.npz", **{**arrays, "id": np.array(["a", "b", "gone"])})
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path), "--no-duplicates"])
    assert done.exit_code == 1
    assert "unreadable-image ×1" in done.output and ": b: " in done.output
    assert "missing-image ×1" in done.output and "gone is in no *.tar" in done.output


def test_a_damaged_image_is_skipped_by_name(make_table: MakeTable, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder = make_table(tmp_path / "data", (5, -20, 45))
    damage_image(folder / "faces.tar", "face1.webp")
    arguments = ["data", "convert", "table", str(folder), str(tmp_path / "out"), "--on-bad"]
    done = CliRunner().invoke(app, [*arguments, "accept"])
    assert done.exit_code == 0, done.output
    assert "faces.tar: face1.webp" in done.output
    assert sorted(Table(tmp_path / "out", None).names) == ["face0", "face2"]
    stopped = CliRunner().invoke(app, [*arguments[:-2], str(tmp_path / "other"), "--on-bad", "stop"])
    assert "faces.tar: face1.webp" in f"{stopped.output} {stopped.exception}"
    assert not (tmp_path / "other").exists()
