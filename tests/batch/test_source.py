"""The forms of a source: each gives the photos in a fixed order, and the same faces."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jvcr.batch.job import Tally
from jvcr.batch.source import Kind, ParquetRows, list_photos, read_bytes

pa = pytest.importorskip("pyarrow", reason="pyarrow comes with the extra batch")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with the extra batch")
fsspec = pytest.importorskip("fsspec", reason="fsspec comes with the extra batch")


NAMES = ["a/000.jpg", "a/003.jpg", "a/006.jpg", "b/001.jpg", "b/004.jpg", "b/007.jpg", "c/002.jpg", "c/005.jpg"]


def ids(source: object, **options: Any) -> list[str]:
    return [photo.id for photo in list_photos(str(source), **options).photos]


def test_a_folder_is_searched_to_any_depth(photos: Path) -> None:
    (photos / "a" / "notes.txt").write_text("no photo")
    (photos / ".hidden").mkdir()
    (photos / ".hidden" / "x.jpg").write_bytes(b"")
    assert ids(photos) == NAMES


def test_a_glob(photos: Path) -> None:
    assert ids(photos / "*" / "00[0-3].jpg") == ["a/000.jpg", "a/003.jpg", "b/001.jpg", "c/002.jpg"]


def test_a_list_keeps_its_order_and_is_relative_to_its_folder(photos: Path) -> None:
    (photos / "list.txt").write_text("b/001.jpg\n\na/000.jpg\nb/001.jpg\n")
    listing = list(list_photos(str(photos / "list.txt")).photos)
    assert [photo.id for photo in listing] == ["b/001.jpg", "a/000.jpg", "b/001.jpg"]
    assert Path(listing[0].path) == photos / "b" / "001.jpg"


def write_tar(path: Path, photos: Path, names: list[str]) -> None:
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.add(photos / name, name.replace("/", "-"))
            data = json.dumps({"caption": name}).encode()
            info = tarfile.TarInfo(name.replace("/", "-").replace(".jpg", ".json"))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_tars_of_webdataset(photos: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "t-00.tar", photos, NAMES[:5])
    write_tar(tmp_path / "t-01.tar", photos, NAMES[5:])
    expected = [f"t-0{int(i > 4)}.tar/{name.replace('/', '-')}" for i, name in enumerate(NAMES)]
    for source in (tmp_path / "t-{00..01}.tar", tmp_path / "t-*.tar"):
        assert ids(source) == expected
    (tmp_path / "tars.txt").write_text("t-00.tar\nt-01.tar\n")
    listing = list_photos(str(tmp_path / "tars.txt"))
    found = list(listing.photos)
    assert listing.source.kind == Kind.TARS
    assert read_bytes(found[3].path, found[3].place, 10**6) == (photos / NAMES[3]).read_bytes()
    with pytest.raises(ValueError, match="more than an image"):
        read_bytes(found[3].path, found[3].place, 100)


def test_a_tar_that_is_cut_is_named(photos: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", photos, NAMES)
    data = (tmp_path / "t.tar").read_bytes()
    (tmp_path / "t.tar").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"t\.tar: cannot be read as a tar"):
        ids(tmp_path / "t.tar")


@pytest.mark.parametrize("form", ["bytes", "struct", "path"])
def test_parquet(photos: Path, tmp_path: Path, form: str) -> None:
    encoded = [(photos / name).read_bytes() for name in NAMES]
    images: list[Any] = {
        "bytes": encoded,
        "struct": [{"bytes": data, "path": None} for data in encoded],
        "path": [f"photos/{name}" for name in NAMES],
    }[form]
    boxes = [[[30.0, 20.0, 100.0, 110.0]]] * 7 + [[]]
    table = pa.table({"key": NAMES, "picture": images, "boxes": boxes})
    parquet.write_table(table, tmp_path / "set.parquet", row_group_size=3)
    with pytest.raises(ValueError, match="name the one with encoded images or paths with --image-column"):
        list_photos(str(tmp_path / "set.parquet"))
    with pytest.raises(ValueError, match=r"no column 'foto' \(--image-column\); expected one of key, picture"):
        list_photos(str(tmp_path / "set.parquet"), image_column="foto")
    listing = list_photos(str(tmp_path / "set.parquet"), image_column="picture", box_column="boxes")
    found = list(listing.photos)
    assert [photo.id for photo in found] == NAMES
    assert found[4].place == (1, 1)
    rows = ParquetRows(listing.source)
    for photo, data in zip(found, encoded, strict=True):
        image = rows.image(photo)
        assert (Path(image).read_bytes() if isinstance(image, str) else image) == data
    assert rows.boxes(found[0]) == boxes[0]
    assert rows.boxes(found[7]) == []


def test_every_form_gives_the_same_faces(photos: Path, tmp_path: Path, batch: Callable[..., Tally]) -> None:
    write_tar(tmp_path / "t.tar", photos, NAMES)
    encoded = [(photos / name).read_bytes() for name in NAMES]
    parquet.write_table(pa.table({"image": encoded, "id": NAMES}), tmp_path / "set.parquet", row_group_size=3)
    memory = fsspec.filesystem("memory")
    for name in NAMES:
        memory.pipe_file(f"/forms/{name}", (photos / name).read_bytes())
    sources = [photos, tmp_path / "t.tar", tmp_path / "set.parquet", "memory://forms"]
    tables = []
    for number, source in enumerate(sources):
        assert batch(source, f"out{number}").done == (8, 8, 0)
        tables.append(parquet.read_table(tmp_path / f"out{number}" / "faces"))
    for table in tables[1:]:
        assert table.drop(["photo"]) == tables[0].drop(["photo"])
    assert tables[3]["photo"].to_pylist() == NAMES


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing: no such file or folder"),
        ("empty", "no photos there"),
        ("mixed", "photos, uncompressed .tar files, or .parquet files alone"),
        ("x.tar.gz", "uncompressed .tar"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.tar.gz").write_bytes(b"")
    (tmp_path / "mixed.txt").write_text("a.jpg\nb.tar\n")
    source = tmp_path / ("mixed.txt" if name == "mixed" else name)
    with pytest.raises(ValueError, match=message):
        list_photos(str(source))
