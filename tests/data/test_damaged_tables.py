"""Training, conversion and the data check refuse the same damaged tables, with the same words."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.data.labels import NEEDED, OPTIONAL, label_faults
from jvcr.data.table import Table

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
    "numbers as groups": (changed(group=np.arange(ROWS)), "array group is int64 of shape (6,); expected one text"),
}


def huge_member(path: Path) -> None:
    """Of a size that no disk holds; the sizes in a header are not checked by whoever copies the file."""
    data = bytearray((path.parent / "faces.tar").read_bytes())
    header = bytearray(data[:512])
    header[124:136] = b"\x80" + (2**62).to_bytes(11, "big")
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    (path.parent / "faces.tar").write_bytes(header + data[512:])


def refusals(folder: Path, out: Path) -> dict[str, str]:
    """What each command says of a table, by name; it must not succeed."""
    commands = {
        "check": ["data", "check", str(folder), "--no-duplicates"],
        "convert": ["data", "convert", "table", str(folder), str(out / "table")],
        "train": ["train", "--data", str(folder), "--out", str(out / "run"), "--preset", "tiny"],
    }
    said = {}
    for name, arguments in commands.items():
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


def test_a_member_larger_than_its_file(make_table: MakeTable, tmp_path: Path) -> None:
    folder = make_table(tmp_path, (5, -20))
    huge_member(folder / "labels.npz")
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


def test_a_damaged_image_is_skipped_by_name(make_table: MakeTable, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder = make_table(tmp_path / "data", (5, -20, 45))
    with tarfile.open(folder / "faces.tar") as archive:
        member = archive.getmember("face1.webp")
    data = bytearray((folder / "faces.tar").read_bytes())
    data[member.offset_data + 8 : member.offset_data + member.size] = bytes(member.size - 8)
    (folder / "faces.tar").write_bytes(data)
    arguments = ["data", "convert", "table", str(folder), str(tmp_path / "out"), "--on-bad"]
    done = CliRunner().invoke(app, [*arguments, "accept"])
    assert done.exit_code == 0, done.output
    assert "faces.tar: face1.webp" in done.output
    assert sorted(Table(tmp_path / "out", None).names) == ["face0", "face2"]
    stopped = CliRunner().invoke(app, [*arguments[:-2], str(tmp_path / "other"), "--on-bad", "stop"])
    assert "faces.tar: face1.webp" in f"{stopped.output} {stopped.exception}"
    assert not (tmp_path / "other").exists()
