"""Exports, read back by other means than ours wherever there are any."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr import MARKUP_68, Box, Face
from jvcr.data.formats.pts import read_pts
from jvcr.evaluate.predictions import read_predictions
from jvcr.extras import MissingExtra
from jvcr.files import CannotWrite
from jvcr.geometry import mean_head
from jvcr.io.exports import ENDINGS, FORMATS, FormatName, PhotoFaces, format_of, write_export
from jvcr.io.exports.mask import TRIANGLES_68, mask_triangles
from jvcr.io.outputs import ExistingResults
from jvcr.io.read_results import read_results
from jvcr.markups.file import markup_from
from jvcr.markups.markup import MARKUP_66

MakeHead = Callable[..., NDArray[np.float32]]
WIDTH, HEIGHT = 100, 90


def face_of(points: NDArray[np.float32], score: float = 0.875) -> Face:
    return Face(points, Box.around(points), score)


@pytest.fixture
def photos(make_head: MakeHead) -> list[PhotoFaces]:
    """Two faces, none, and one."""
    first, second = face_of(make_head(10, 5, 3, centre=(30, 44)), 0.75), face_of(make_head(-70, eyes_px=20))
    return [
        PhotoFaces("in/a.jpg", (WIDTH, HEIGHT), [first, second]),
        PhotoFaces("b é.png", (40, 30), []),
        PhotoFaces("c.png", (WIDTH, HEIGHT), [face_of(make_head(20, -5, -8))]),
    ]


def faces_of(photos: list[PhotoFaces]) -> list[Face]:
    return [face for photo in photos for face in photo.faces]  # type: ignore[misc]


# 3D meshes: x right, y up, z towards the viewer.


def read_obj(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"v": [], "p": [], "l": [], "f": [], "o": []}
    for line in path.read_text().splitlines():
        kind, *values = line.split()
        if kind != "#":
            found[kind].append(values if kind == "o" else [float(v) for v in values])
    return found


def test_obj(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.obj", photos[:1])
    found = read_obj(tmp_path / "a.obj")
    expected = np.concatenate([face.landmarks for face in photos[0].faces]) * [1, -1, -1]
    np.testing.assert_allclose(found["v"], expected, atol=1e-4)
    assert found["o"] == [["face_1"], ["face_2"]]
    # Indices count from 1, and go on over the objects.
    assert found["p"] == [list(range(1, 69)), list(range(69, 137))]
    edges = np.array(MARKUP_68.edges) + 1
    assert found["l"] == [*edges.tolist(), *(edges + 68).tolist()]
    assert found["f"][: len(TRIANGLES_68)] == (np.array(TRIANGLES_68) + 1).tolist()
    assert len(found["f"]) == 2 * len(TRIANGLES_68)


def test_ply(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.ply", photos[:1])
    head, body = (tmp_path / "a.ply").read_text().split("end_header\n")
    assert head.startswith("ply\nformat ascii 1.0\n")
    assert "comment landmark 30 nose_bridge_3\n" in head
    counts = {line.split()[1]: int(line.split()[2]) for line in head.splitlines() if line.startswith("element")}
    assert counts == {"vertex": 136, "face": 2 * len(TRIANGLES_68), "edge": 2 * len(MARKUP_68.edges)}
    rows = [[float(v) for v in line.split()] for line in body.splitlines()]
    vertices = np.array(rows[:136])
    expected = np.concatenate([face.landmarks for face in photos[0].faces]) * [1, -1, -1]
    np.testing.assert_allclose(vertices[:, :3], expected, atol=1e-4)
    assert vertices[:, 3].tolist() == [1] * 68 + [2] * 68
    assert vertices[:, 4].tolist() == [*range(68), *range(68)]
    triangles = np.array(rows[136 : 136 + counts["face"]])
    assert (triangles[:, 0] == 3).all()
    np.testing.assert_array_equal(triangles[len(TRIANGLES_68) :, 1:], np.array(TRIANGLES_68) + 68)
    edges = np.array(rows[136 + counts["face"] :])
    np.testing.assert_array_equal(edges, [*MARKUP_68.edges, *(np.array(MARKUP_68.edges) + 68)])


def read_glb(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at < len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        assert size % 4 == 0
        chunks[kind] = data[at + 8 : at + 8 + size]
        at += 8 + size
    return json.loads(chunks[b"JSON"]), chunks.get(b"BIN\0", b"")


def accessor(document: dict[str, Any], binary: bytes, number: int) -> NDArray[Any]:
    entry = document["accessors"][number]
    view = document["bufferViews"][entry["bufferView"]]
    kind = {5126: np.dtype("<f4"), 5123: np.dtype("<u2"), 5125: np.dtype("<u4")}[entry["componentType"]]
    width = {"VEC3": 3, "SCALAR": 1}[entry["type"]]
    data = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    return np.frombuffer(data, kind).reshape(entry["count"], width)


def test_glb(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.glb", photos[:1])
    document, binary = read_glb(tmp_path / "a.glb")
    assert [node["name"] for node in document["nodes"]] == ["photo", "camera", "face_1", "face_2"]
    for mesh, face in zip(document["meshes"], photos[0].faces, strict=True):
        by_mode = {part["mode"]: part for part in mesh["primitives"]}
        points = accessor(document, binary, by_mode[0]["attributes"]["POSITION"])
        np.testing.assert_array_equal(points, face.landmarks * np.float32([1, -1, -1]))
        for mode, expected in ((0, range(68)), (1, MARKUP_68.edges), (4, TRIANGLES_68)):
            indices = accessor(document, binary, by_mode[mode]["indices"])
            assert indices.ravel().tolist() == np.array(list(expected)).ravel().tolist()
        assert mesh["extras"]["landmarks"] == list(MARKUP_68.labels)


def test_the_camera_of_a_glb_sees_the_photo(photos: list[PhotoFaces], tmp_path: Path) -> None:
    """A vertex, moved by its nodes and seen by the camera, is at the landmark's pixel of a picture of the photo's
    size."""
    write_export(tmp_path / "a.glb", photos[:1])
    document, _ = read_glb(tmp_path / "a.glb")
    photo, camera = document["nodes"][:2]
    lens = document["cameras"][0]["orthographic"]
    for face in photos[0].faces:
        world = face.landmarks * [1, -1, -1] * photo["scale"] + photo["translation"]
        # A camera of glTF looks along -z, with y up and x right.
        seen = world - camera["translation"]
        assert ((seen[:, 2] < -lens["znear"]) & (seen[:, 2] > -lens["zfar"])).all()
        right, up = seen[:, 0] / lens["xmag"], seen[:, 1] / lens["ymag"]
        # -1 and 1 are the borders of the picture; its first pixel's centre is half a pixel inside.
        pixels = np.stack([(right + 1) / 2 * WIDTH, (1 - up) / 2 * HEIGHT], axis=1) - 0.5
        np.testing.assert_allclose(pixels, face.landmarks[:, :2], atol=1e-4)
    # The nose of a frontal face points at the viewer.
    assert world[30, 2] > world[[0, 16], 2].min()


def test_a_glb_of_no_face_or_an_unknown_size_is_whole(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "none.glb", photos[1:2])
    document, binary = read_glb(tmp_path / "none.glb")
    assert "meshes" not in document and "buffers" not in document and binary == b""
    write_export(tmp_path / "size.glb", [replace(photos[2], size=None)])
    document, _ = read_glb(tmp_path / "size.glb")
    lens = document["cameras"][0]["orthographic"]
    box = photos[2].faces[0].box
    assert lens["xmag"] == lens["ymag"] == pytest.approx(0.001 * 0.75 * max(box.width, box.height))


def khronos_validator() -> Path:
    """The npm package ``gltf-validator``, in the folder that JVCR_GLTF_VALIDATOR names (its ``node_modules``)."""
    folder = os.environ.get("JVCR_GLTF_VALIDATOR", "")
    if not folder or not (Path(folder) / "gltf-validator").is_dir():
        pytest.skip("JVCR_GLTF_VALIDATOR names no node_modules folder with gltf-validator (npm install gltf-validator)")
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    return Path(folder).resolve() / "gltf-validator"


def test_glb_passes_the_khronos_validator(photos: list[PhotoFaces], tmp_path: Path) -> None:
    package = khronos_validator()
    files = []
    big = markup_from("200")
    odd = PhotoFaces(
        "é.jpg",
        None,
        [Face(np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32), Box(0, 0, 1, 1), 1.0, markup=big)],
    )
    for number, photo in enumerate([*photos, odd]):
        write_export(tmp_path / f"{number}.glb", [photo])
        files.append(str(tmp_path / f"{number}.glb"))
    script = (
        "const v = require(process.argv[1]), fs = require('fs');"
        "Promise.all(process.argv.slice(2).map(f => v.validateBytes(new Uint8Array(fs.readFileSync(f)))))"
        ".then(all => console.log(JSON.stringify(all.map(r => r.issues))));"
    )
    done = subprocess.run(
        ["node", "-e", script, str(package), *files], capture_output=True, text=True, check=True, timeout=120
    )
    for issues in json.loads(done.stdout):
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues


# The mask.


def test_the_mask_covers_the_face_and_looks_at_the_viewer() -> None:
    triangles = np.array(TRIANGLES_68)
    assert set(triangles.ravel()) == set(range(68))
    sides = [tuple(side) for a, b, c in TRIANGLES_68 for side in ((a, b), (b, c), (c, a))]
    assert len(set(sides)) == len(sides), "neighbours turn the same way: no side is used twice in one direction"
    used = {frozenset(side) for side in sides}
    assert all(frozenset(edge) in used for edge in MARKUP_68.edges), "every contour is an edge"
    # Open at the eyes and the mouth; V - E + F of a disc with three holes is -2.
    assert 68 - len(used) + len(triangles) == 1 - 3
    head = mean_head(MARKUP_68)
    assert head is not None
    corners = (head * [1, -1, -1])[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # The underside of the nose and the corners of the closed mouth look up or down.
    areas = np.abs(normals[:, 2])
    assert normals[areas > 0.001, 2].min() > 0


def test_the_mask_is_for_markups_that_hold_the_68_points() -> None:
    assert mask_triangles(MARKUP_68) == TRIANGLES_68
    assert mask_triangles(MARKUP_66) == ()
    assert mask_triangles(markup_from("21")) == ()
    # The 71 points begin with the 68.
    assert mask_triangles(markup_from("71")) == TRIANGLES_68


def test_other_markups_have_points_and_contours(tmp_path: Path) -> None:
    markup = markup_from("21")
    points = np.random.default_rng(0).normal(40, 9, (21, 3)).astype(np.float32)
    face = Face(points, Box.around(points), 0.5, markup=markup)
    face.save(tmp_path / "a.obj")
    found = read_obj(tmp_path / "a.obj")
    assert (len(found["v"]), len(found["l"]), len(found["f"])) == (21, len(markup.edges), 0)
    face.save(tmp_path / "a.glb")
    document, _ = read_glb(tmp_path / "a.glb")
    assert {part["mode"] for part in document["meshes"][0]["primitives"]} == ({0, 1} if markup.edges else {0})
    face.save(tmp_path / "a.csv")
    assert f"{markup.labels[3]}_z" in (tmp_path / "a.csv").read_text().splitlines()[0].split(",")


# Tables and annotations: x right, y down, z away.


def test_csv_has_a_row_for_each_face(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.csv", photos)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8"))))
    assert [(row["image"], row["face"]) for row in rows] == [("in/a.jpg", "1"), ("in/a.jpg", "2"), ("c.png", "1")]
    for row, face in zip(rows, faces_of(photos), strict=True):
        points = [[float(row[f"{name}_{axis}"]) for axis in "xyz"] for name in MARKUP_68.names]
        np.testing.assert_allclose(points, face.landmarks, atol=6e-4)
        np.testing.assert_allclose([float(row[c]) for c in ("x0", "y0", "x1", "y1")], face.box.to_list(), atol=6e-4)
        assert float(row["yaw_deg"]) == pytest.approx(face.pose.yaw_deg, abs=1e-3)
        assert (row["width"], row["height"]) == (str(WIDTH), str(HEIGHT))


def test_csv_has_a_row_for_each_landmark(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.points.csv", photos)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.points.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 3 * 68
    points = np.array([[float(row[axis]) for axis in "xyz"] for row in rows]).reshape(3, 68, 3)
    np.testing.assert_allclose(points, [face.landmarks for face in faces_of(photos)], atol=6e-4)
    assert [row["name"] for row in rows[68:136]] == list(MARKUP_68.names)
    assert [row["landmark"] for row in rows[:68]] == [str(number) for number in range(68)]


def test_parquet(photos: list[PhotoFaces], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra: parquet)")
    write_export(tmp_path / "a.parquet", photos)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column("image").to_pylist() == ["in/a.jpg", "in/a.jpg", "c.png"]
    x = np.stack([table.column(f"{name}_x").to_numpy() for name in MARKUP_68.names], axis=1)
    np.testing.assert_allclose(x, [face.landmarks[:, 0] for face in faces_of(photos)], atol=6e-4)
    assert b"z away from the camera" in table.schema.metadata[b"axes"]


def test_a_missing_package_is_named_before_anything_is_written(
    photos: list[PhotoFaces], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pyarrow.*\[parquet\]"):
        write_export(tmp_path / "a.parquet", photos)
    assert not list(tmp_path.iterdir())


def test_coco(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.json", photos)
    document = json.loads((tmp_path / "a.json").read_text())
    assert [(i["id"], i["file_name"], i["width"], i["height"]) for i in document["images"]] == [
        (1, "in/a.jpg", 100, 90),
        (2, "b é.png", 40, 30),
        (3, "c.png", 100, 90),
    ]
    (category,) = document["categories"]
    assert category["keypoints"] == list(MARKUP_68.names)
    # Edges count from 1: the jaw begins 1-2.
    assert category["skeleton"][0] == [1, 2]
    for entry, face in zip(document["annotations"], faces_of(photos), strict=True):
        keypoints = np.array(entry["keypoints"]).reshape(68, 3)
        # From the corner of the image, which is half a pixel before the centre of the first pixel.
        np.testing.assert_allclose(keypoints[:, :2] - 0.5, face.landmarks[:, :2], atol=6e-4)
        np.testing.assert_allclose(entry["z"], face.landmarks[:, 2], atol=6e-4)
        x, y, width, height = entry["bbox"]
        np.testing.assert_allclose([x - 0.5, y - 0.5], face.box.to_list()[:2], atol=6e-4)
        assert (width, height) == pytest.approx((face.box.width, face.box.height), abs=6e-4)
        assert entry["num_keypoints"] == 68


def test_coco_flags(make_head: MakeHead, tmp_path: Path) -> None:
    """A head turned to its right shows its left half; what lies outside the photo is not seen either."""
    points = make_head(-70)
    write_export(tmp_path / "a.json", [PhotoFaces("a", (100, 90), [face_of(points)])])
    flags = json.loads((tmp_path / "a.json").read_text())["annotations"][0]["keypoints"][2::3]
    assert (flags[36], flags[45]) == (1, 2)
    cut = int(points[30, 0])
    write_export(tmp_path / "b.json", [PhotoFaces("a", (cut, 90), [face_of(make_head())])])
    flags = json.loads((tmp_path / "b.json").read_text())["annotations"][0]["keypoints"][2::3]
    assert (flags[0], flags[16]) == (2, 1)


def test_coco_is_read_by_pycocotools(photos: list[PhotoFaces], tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed (extra: dev)")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    write_export(tmp_path / "a.json", photos)
    truth = coco.COCO(str(tmp_path / "a.json"))
    assert truth.getImgIds() == [1, 2, 3]
    assert truth.getAnnIds(imgIds=[1]) == [1, 2]
    found = truth.loadRes([entry | {"score": entry["score"]} for entry in truth.loadAnns(truth.getAnnIds())])
    scores = evaluation.COCOeval(truth, found, "keypoints")
    scores.params.kpt_oks_sigmas = np.full(68, 0.05)
    scores.params.areaRng, scores.params.areaRngLbl = [[0, 1e10]], ["all"]
    scores.evaluate()
    # Each face is matched with itself, at an OKS of 1.
    matched = [row for row in scores.evalImgs if row is not None]
    assert sum(len(row["gtIds"]) for row in matched) == 3
    assert all((row["dtMatches"] > 0).all() for row in matched)


def test_pts_counts_from_1(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.pts", photos[:1])
    lines = (tmp_path / "a.pts").read_text().splitlines()
    assert lines[:3] == ["version: 1", "n_points: 68", "{"] and lines[-1] == "}"
    best = max(photos[0].faces, key=lambda face: face.score)
    np.testing.assert_allclose(read_pts(tmp_path / "a.pts") - 1, best.landmarks[:, :2], atol=6e-4)
    with pytest.raises(ValueError, match="has no face"):
        write_export(tmp_path / "b.pts", photos[1:2])
    assert not (tmp_path / "b.pts").exists()


def test_dlib_xml(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.xml", photos)
    images = ElementTree.parse(tmp_path / "a.xml").getroot().findall("images/image")
    assert [image.get("file") for image in images] == ["in/a.jpg", "b é.png", "c.png"]
    boxes = [box for image in images for box in image.findall("box")]
    for box, face in zip(boxes, faces_of(photos), strict=True):
        parts = box.findall("part")
        # dlib sorts parts by name; with leading zeros that is their order.
        assert [part.get("name") for part in parts] == [f"{number:02d}" for number in range(68)]
        points = np.array([[int(part.get("x", "")), int(part.get("y", ""))] for part in parts])
        np.testing.assert_allclose(points, face.landmarks[:, :2], atol=0.51)
        left, width = int(box.get("left", "")), int(box.get("width", ""))
        assert (left, left + width - 1) == (round(face.box.x0), round(face.box.x1))
    with pytest.raises(ValueError, match="control characters"):
        write_export(tmp_path / "b.xml", [replace(photos[0], image="a\x01.png")])


def test_npz_is_a_predictions_file(photos: list[PhotoFaces], tmp_path: Path) -> None:
    write_export(tmp_path / "a.npz", photos)
    found = read_predictions(tmp_path / "a.npz")
    assert found.ids == ["a", "b é", "c"]
    best = max(photos[0].faces, key=lambda face: face.score)
    np.testing.assert_array_equal(found.landmarks_img[0], best.landmarks)
    assert np.isnan(found.landmarks_img[1]).all() and found.boxes is not None and np.isnan(found.boxes[1]).all()
    np.testing.assert_allclose(found.boxes[2], photos[2].faces[0].box.to_list())
    assert found.about["tool"] == "jvcr"
    with pytest.raises(ValueError, match=r"other/a\.png: has the same id, 'a', as in/a\.jpg"):
        write_export(tmp_path / "b.npz", [photos[0], replace(photos[2], image="other/a.png")])
    assert not (tmp_path / "b.npz").exists()


# All formats.


def test_each_format_has_its_own_ending() -> None:
    assert set(FORMATS) == set(FormatName)
    assert len(set(ENDINGS)) == len(ENDINGS)
    for name, form in FORMATS.items():
        assert format_of(Path(f"x{form.ending}")) is name
        assert format_of(Path(f"X{form.ending.upper()}")) is name
        assert (form.one is None) != (form.many is None)
    with pytest.raises(ValueError, match=r"ending '\.cvs' is unknown \(did you mean '\.csv'\?\)"):
        format_of(Path("a.cvs"))


def test_tables_need_one_markup(photos: list[PhotoFaces], tmp_path: Path) -> None:
    points = np.zeros((66, 3), np.float32)
    other = PhotoFaces("d.png", (9, 9), [Face(points, Box(0, 0, 1, 1), 1.0, markup=MARKUP_66)])
    for ending in (".csv", ".json", ".npz"):
        with pytest.raises(ValueError, match=r"d\.png: a face has markup '3dfaw-66'"):
            write_export(tmp_path / f"a{ending}", [*photos, other])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending != ".parquet"])
def test_a_face_saves_itself(photos: list[PhotoFaces], tmp_path: Path, ending: str) -> None:
    face = faces_of(photos)[2]
    path = tmp_path / "new" / f"face{ending}"
    face.save(path, image="c.png", size=(WIDTH, HEIGHT))
    size = path.stat().st_size
    with pytest.raises(ExistingResults, match="already exists"):
        face.save(str(path), image="c.png", size=(WIDTH, HEIGHT))
    face.save(str(path), image="c.png", size=(WIDTH, HEIGHT), overwrite=True)
    assert path.stat().st_size == size
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", [FormatName.CSV, FormatName.COCO, FormatName.NPZ])
def test_what_cannot_be_written_is_named(photos: list[PhotoFaces], name: FormatName) -> None:
    with pytest.raises(CannotWrite, match="/dev/full: cannot be written"):
        write_export(Path("/dev/full"), photos, name)


def test_coco_needs_the_size_of_the_photo(photos: list[PhotoFaces], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the size of the photo is unknown.*size=\(width, height\)"):
        faces_of(photos)[0].save(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


# Results, read back.


@pytest.fixture
def lines(photos: list[PhotoFaces], tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records(photos)), encoding="utf-8")
    return path


def records(photos: list[PhotoFaces]) -> Iterator[dict[str, Any]]:
    for photo in photos:
        assert photo.size is not None
        faces = [face.to_dict() for face in photo.faces]  # type: ignore[attr-defined]
        yield {"image": photo.image, "width": photo.size[0], "height": photo.size[1], "faces": faces}


def test_results_are_read_back(photos: list[PhotoFaces], lines: Path) -> None:
    found = read_results(lines)
    assert [(p.image, p.size, len(p.faces)) for p in found] == [(p.image, p.size, len(p.faces)) for p in photos]
    for face, other in zip(faces_of(found), faces_of(photos), strict=True):
        np.testing.assert_allclose(face.landmarks, other.landmarks, atol=6e-4)
    # The last line about a photo counts.
    with lines.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"image": "in/a.jpg", "width": 5, "height": 6, "faces": []}) + "\n")
    assert [(p.image, len(p.faces)) for p in read_results(lines)] == [("b é.png", 0), ("c.png", 1), ("in/a.jpg", 0)]


def test_frames_of_a_video_keep_time_and_identity(make_head: MakeHead, tmp_path: Path) -> None:
    face = face_of(make_head()).to_dict()
    path = tmp_path / "film.jsonl"
    rows = [
        {"frame": n, "time": n / 4, "width": 100, "height": 90, "faces": [{"id": 7, **face}] * (n > 0)}
        for n in range(3)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    write_export(tmp_path / "film.csv", read_results(path))
    table = list(csv.DictReader(io.StringIO((tmp_path / "film.csv").read_text())))
    assert [(row["frame"], row["time"], row["id"]) for row in table] == [("1", "0.25", "7"), ("2", "0.5", "7")]
    write_export(tmp_path / "film.json", read_results(path))
    document = json.loads((tmp_path / "film.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["frame_000000", "frame_000001", "frame_000002"]
    assert [entry["track_id"] for entry in document["annotations"]] == [7, 7]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Expecting"),
        ("[]", "no record of a photo or frame"),
        ('{"image": "a"}', "no record"),
        ('{"image": 1, "faces": []}', "image is 1"),
        ('{"image": "a", "width": 0, "height": 2, "faces": []}', "the size is"),
        ('{"image": "a", "faces": [{"box": [0, 0, 1, 1], "score": 1}]}', "KeyError 'landmarks'"),
        ('{"image": "a", "faces": [{"box": [0, 0, 1, 1], "score": 1, "landmarks": [[1, 2, 3]]}]}', "have shape"),
        ('{"image": "a", "faces": [{"markup": "mine", "landmarks": []}]}', "give its file with --markup"),
        ('{"image": "a", "faces": 3}', "TypeError"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_a_damaged_line_is_named(lines: Path, line: str, reason: str) -> None:
    with lines.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"results\.jsonl: line 4: .*expected JSON lines of") as error:
        read_results(lines)
    assert reason in str(error.value)


def test_an_empty_file_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        read_results(tmp_path / "a.jsonl")
