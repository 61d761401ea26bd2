"""Tiny data sets in every layout that has a reader, written into a folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.images import write_image
from jvcr.markups.file import write_markup
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_68, Markup, subset

MakeHead = Callable[..., NDArray[np.float32]]

WIDTH, HEIGHT = 110, 96
MARKUP_5 = subset(MARKUP_68, (36, 45, 30, 48, 54), "five")


@dataclass(frozen=True, eq=False)
class Layout:
    """A data set on disk and what its reader should give.

    Attributes:
        points: name → (N, 3) as ``Sample.points_img``.
    """

    format: str
    root: Path
    points: dict[str, NDArray[np.float32]]
    options: dict[str, Any] = field(default_factory=dict)


def _photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    write_image(path, cv2.resize(small, (WIDTH, HEIGHT)))


def _towards(points: NDArray[np.float32], base: float, shift: float = 0.0) -> NDArray[np.float64]:
    """As a file holds them: base added to x and y, z towards the camera with an offset."""
    return points.astype(np.float64) * (1, 1, -1) + (base, base, shift)


def _flat(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.column_stack([points[:, :2], np.full(len(points), np.nan)]).astype(np.float32)


def _centred(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return points - np.float32([0, 0, points[:, 2].mean()])


@pytest.fixture
def heads(make_head: MakeHead) -> list[NDArray[np.float32]]:
    """Four views of one rigid head, each at its own place and size."""
    yaws, sizes = (-50, -15, 20, 65), (20.0, 24.0, 22.0, 26.0)
    return [
        make_head(yaw, 5, 3, eyes_px=size, centre=(52 + number, 45 - number))
        for number, (yaw, size) in enumerate(zip(yaws, sizes, strict=True))
    ]


@pytest.fixture
def layout(request: pytest.FixtureRequest, heads: list[NDArray[np.float32]], tmp_path: Path) -> Layout:
    root = tmp_path / "data"
    root.mkdir()
    return _WRITERS[request.param](root, heads)


@pytest.fixture
def make_layout(heads: list[NDArray[np.float32]], tmp_path: Path) -> Callable[[str], Layout]:
    """Write the layout of this name."""

    def make(name: str) -> Layout:
        root = tmp_path / "data"
        root.mkdir()
        return _WRITERS[name](root, heads)

    return make


def _aflw2000(root: Path, heads: list[NDArray[np.float32]]) -> Layout:
    import scipy.io

    for number, points in enumerate(heads):
        _photo(root / f"image0000{number}.jpg", number)
        values = {"pt3d_68": _towards(points, 1, shift=-70).T, "Pose_Para": np.zeros((1, 7))}
        values["Pose_Para"][0, 1] = np.radians((50, 15, -20, -65)[number])
        scipy.io.savemat(root / f"image0000{number}.mat", values)
    names = [f"image0000{number}" for number in range(4)]
    other = np.stack([points[:, :2] + 2 for points in heads])
    np.savez(root / "reannotated.npz", id=np.array(names), points2d=other)
    return Layout("aflw2000-3d", root, dict(zip(names, heads, strict=True)))


def _w300lp(root: Path, heads: list[NDArray[np.float32]]) -> Layout:
    import scipy.io

    for number, points in enumerate(heads):
        _photo(root / "IBUG" / f"IBUG_image_003_1_{number}.jpg", number)
        folder = root / "landmarks" / "IBUG"
        folder.mkdir(parents=True, exist_ok=True)
        values = {"pts_2d": points[:, :2] + 9, "pts_3d": points[:, :2] + 1}
        scipy.io.savemat(folder / f"IBUG_image_003_1_{number}_pts.mat", values)
    names = [f"IBUG/IBUG_image_003_1_{number}" for number in range(4)]
    return Layout("300w-lp", root, dict(zip(names, heads, strict=True)))


def _threedfaw(root: Path, heads: list[NDArray[np.float32]]) -> Layout:
    points_66 = [_centred(points[list(INDICES_66_IN_68)]) for points in heads]
    names = ["train/p1/a", "train/p1/b", "valid/p2/a", "valid/p2/b"]
    for number, (name, points) in enumerate(zip(names, points_66, strict=True)):
        _photo(root / f"{name}.jpg", number)
        rows = [",".join(f"{value:.5f}" for value in row) for row in _towards(points, 1, shift=300)]
        (root / f"{name}_3d.csv").write_text("x,y,z\n" + "\n".join(rows) + "\n")
        (root / f"{name}_box.txt").write_text("21 11 60 70\n")
    options = {"landmarks": "{stem}_3d.csv", "box": "{stem}_box.txt", "box_form": "xywh", "group": r"/(\w+)/"}
    return Layout("3dfaw", root, dict(zip(names, points_66, strict=True)), options)


def _authors_json(root: Path, heads: list[NDArray[np.float32]]) -> Layout:
    entries = []
    for number, points in enumerate(heads):
        # Two faces of the last image.
        name = f"sub/photo{min(number, 2)}.png"
        _photo(root / "images" / name, number)
        entry = {"img_paths": name, "landmarks": _towards(points, 1).tolist(), "isValidation": float(number == 1)}
        entries.append(entry | {"objpos": [53.0, 46.0], "scale_provided": 0.4})
    (root / "faces.json").write_text(json.dumps(entries))
    names = ["sub/photo0", "sub/photo1", "sub/photo2#2", "sub/photo2#3"]
    return Layout("authors-json", root, dict(zip(names, heads, strict=True)), {"images": root / "images"})


def _pts(root: Path, heads: list[NDArray[np.float32]], flat: bool = False) -> Layout:
    for number, points in enumerate(heads):
        _photo(root / "set" / f"face[{number}].jpg", number)
        rows = _towards(points, 1)[:, : 2 if flat else 3]
        lines = ["version: 1", f"n_points: {len(rows)}", "{", *(" ".join(map(str, row)) for row in rows), "}"]
        (root / "set" / f"face[{number}].pts").write_text("\n".join(lines) + "\n")
    expected = [_flat(points) for points in heads] if flat else heads
    return Layout("pts", root, {f"set/face[{number}]": points for number, points in enumerate(expected)})


def _coco(root: Path, heads: list[NDArray[np.float32]]) -> Layout:
    expected, annotations = {}, []
    indices = [36, 45, 30, 48, 54]
    for number, points in enumerate(heads):
        _photo(root / f"{number}.jpg", number)
        five = points[indices]
        keypoints = np.column_stack([five[:, :2] + 0.5, np.full(5, 2.0)])
        five = _flat(five)
        if number == 3:
            keypoints[1], five[1] = 0, np.nan
        expected[f"{number}#{number + 10}"] = five
        bbox = [20.5, 10.5, 60.0, 70.0]
        annotations.append(
            {"id": number + 10, "image_id": number, "keypoints": keypoints.ravel().tolist(), "bbox": bbox}
        )
    annotations.append({"id": 99, "image_id": 0, "keypoints": [0.0] * 15})
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(4)]
    (root / "person.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return Layout("coco", root, expected, {"base": "0.5", "markup": _markup_file(root.parent, MARKUP_5)})


def _markup_file(folder: Path, markup: Markup) -> str:
    write_markup(folder / "markup.toml", markup)
    return str(folder / "markup.toml")


def _csv(root: Path, heads: list[NDArray[np.float32]]) -> Layout:
    columns = ["image", "id", "group", "split", "weight", "yaw_deg", "box_x0", "box_y0", "box_x1", "box_y1"]
    columns += [f"{axis}{n}" for n in range(5) for axis in "xyz"]
    expected = {}
    with (root / "faces.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for number, points in enumerate(heads):
            five = _centred(points[[36, 45, 30, 48, 54]])
            expected[f"face.{number}"] = five
            _photo(root / f"{number}.png", number)
            about = [f"{number}.png", f"face.{number}", f"person{number // 2}", "train" if number < 2 else "val", 0.5]
            writer.writerow([*about, 10 * number, 20, 10, 80, 80, *five.ravel().tolist()])
    return Layout("csv", root, expected, {"markup": _markup_file(root.parent, MARKUP_5)})


def _npz(root: Path, heads: list[NDArray[np.float32]]) -> Layout:
    images = [f"folder/{number}.png" for number in range(4)]
    for number, image in enumerate(images):
        _photo(root / image, number)
    np.savez(root / "faces.npz", image=np.array(images), points=np.stack(heads) + 7, yaw_deg=np.arange(4.0))
    # 7 is added to z as well, which has no zero of its own.
    names = [f"folder/{number}" for number in range(4)]
    return Layout("npz", root, dict(zip(names, heads, strict=True)), {"base": "7"})


_WRITERS: dict[str, Callable[[Path, list[NDArray[np.float32]]], Layout]] = {
    "aflw2000-3d": _aflw2000,
    "300w-lp": _w300lp,
    "3dfaw": _threedfaw,
    "authors-json": _authors_json,
    "pts": _pts,
    "pts 2D": lambda root, heads: _pts(root, heads, flat=True),
    "coco": _coco,
    "csv": _csv,
    "npz": _npz,
}
ALL_LAYOUTS = list(_WRITERS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``layout`` runs on every one of them."""
    if "layout" in metafunc.fixturenames:
        metafunc.parametrize("layout", ALL_LAYOUTS, indirect=True)
