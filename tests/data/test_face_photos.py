from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jvcr.data.face_photos import read_face_photos, split_of

MakePhotos = Callable[..., Path]
NAMES = [f"bsds_{number}" for number in range(30)]


def test_every_photo_is_in_one_split(make_photos: MakePhotos, tmp_path: Path) -> None:
    make_photos(tmp_path, {name: [[10, 10, 40 + number, 50]] for number, name in enumerate(NAMES)})
    seen: list[str] = []
    for split in ("train", "val", "test"):
        photos = read_face_photos(tmp_path, split)
        assert photos and all(split_of(p.name) == split for p in photos)
        assert all(p.boxes[0, 2] == 40 + NAMES.index(p.name) for p in photos)
        seen += [p.name for p in photos]
    assert sorted(seen) == sorted(NAMES)
    assert len(read_face_photos(tmp_path, "val", "test")) == sum(split_of(name) != "train" for name in NAMES)
    shares = [split_of(f"photo{number}") for number in range(2000)]
    assert 0.77 < shares.count("train") / 2000 < 0.83 and 0.08 < shares.count("val") / 2000 < 0.12


def test_scores_tell_what_is_sure_and_names_what_is_empty(make_photos: MakePhotos, tmp_path: Path) -> None:
    boxes = {"lfw_a": [[1, 1, 9, 9], [20, 1, 30, 9]], "lfw_b": [], "bsds_c": []}
    make_photos(tmp_path, boxes, score=np.array([0.59, 0.61], np.float32))
    photos = {p.name: p for p in read_face_photos(tmp_path, "train", "val", "test")}
    assert photos["lfw_a"].sure.tolist() == [False, True]
    assert [photos[name].surely_empty for name in boxes] == [False, False, True]
    make_photos(tmp_path, boxes, score=None, yaw_deg=None)
    photo = next(p for p in read_face_photos(tmp_path, "train", "val", "test") if p.name == "lfw_a")
    assert photo.sure.all() and np.isnan(photo.yaw_deg).all()


def test_wrong_labels_are_named(make_photos: MakePhotos, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"detect_labels\.npz: no such file; expected labels of faces"):
        read_face_photos(tmp_path, "train")
    make_photos(tmp_path, {"a": [[5, 5, 4, 9]]})
    with pytest.raises(ValueError, match=r"face 0 has box \[5\.0, 5\.0, 4\.0, 9\.0\]; expected x0 < x1"):
        read_face_photos(tmp_path, "train")
    make_photos(tmp_path, {"a": [[5, 5, 9, 9]]}, image=np.array([3]))
    with pytest.raises(ValueError, match=r"face 0 has image 3; expected an index into the 1 entries of id"):
        read_face_photos(tmp_path, "train")
    make_photos(tmp_path, {"a": [[5, 5, 9, 9]]}, box=None)
    with pytest.raises(ValueError, match=r"arrays \['box'\] are missing"):
        read_face_photos(tmp_path, "train")
