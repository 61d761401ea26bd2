from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from jvcr.data.face_photos import split_of
from jvcr.frames import Box
from jvcr.train.data.backgrounds import Backgrounds, read_backgrounds

# One level of grey a column and row, so that a patch shows where it was taken: red is x, green is y.
RAMP = np.stack([*np.meshgrid(np.arange(120), np.arange(90)), np.zeros((90, 120))], axis=-1).astype(np.uint8)


def test_patch_is_a_square_inside_the_photo() -> None:
    for seed in range(20):
        patch = Backgrounds(without_faces=(RAMP,)).patch(32, np.random.default_rng(seed)).astype(float)
        assert patch.shape == (32, 32, 3)
        steps = np.diff(patch[16, :, 0]).mean(), np.diff(patch[:, 16, 1]).mean()
        # Between a quarter and all of the shorter side, as wide as high, and nowhere past an edge.
        assert 0.25 * 90 / 32 - 0.1 < steps[0] < 90 / 32 + 0.1
        assert steps[0] == pytest.approx(steps[1], abs=0.1)


def test_crop_without_a_face_stays_off_the_faces() -> None:
    # A face in the left half: its crop is the square 12…76, so every crop must lie mostly to the right or be smaller.
    face = Box(24, 24, 64, 64)
    crowded = Backgrounds(without_faces=(np.full((40, 50, 3), 255, np.uint8),), with_faces=((RAMP, (face,)),))
    taken = [crowded.no_face_crop(32, np.random.default_rng(seed)).astype(float) for seed in range(60)]
    from_crowded = [patch for patch in taken if patch[..., 2].max() == 0]
    assert 5 < len(from_crowded) < 55
    for patch in from_crowded:
        (x0, x1), (y0, y1) = patch[16, [0, -1], 0], patch[[0, -1], 16, 1]
        assert Box(x0, y0, x1 + 1, y1 + 1).iou(Box(12, 12, 76, 76)) < 0.25


def test_photo_full_of_faces_is_given_up() -> None:
    everywhere = tuple(Box(x, y, x + s, y + s) for s in (15, 25, 40) for x in range(0, 120, 8) for y in range(0, 90, 8))
    crowded = Backgrounds(without_faces=(np.full((40, 50, 3), 255, np.uint8),), with_faces=((RAMP, everywhere),))
    for seed in range(10):
        assert crowded.no_face_crop(16, np.random.default_rng(seed)).min() == 255


def test_photos_are_split_by_their_id(tmp_path: Path) -> None:
    names = [f"photo{number}" for number in range(40)]
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for number, name in enumerate(names):
            data = cv2.imencode(".png", np.full((4, 6, 3), number, np.uint8))[1].tobytes()
            member = tarfile.TarInfo(f"{name}.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    # Every even photo has a face, and photo 0 a second one.
    owner = [0, *range(0, 40, 2)]
    box = [[1.0, 1.0, 2.0, 3.0], *([0.0, 0.0, 1.0 + number, 2.0] for number in range(0, 40, 2))]
    np.savez(tmp_path / "detect_labels.npz", id=np.array(names), image=np.array(owner), box=np.array(box))
    seen = []
    for held_out in (False, True):
        found = read_backgrounds(tmp_path, held_out)
        empty = [int(image[0, 0, 0]) for image in found.without_faces]
        crowded = {int(image[0, 0, 0]): boxes for image, boxes in found.with_faces}
        assert all(number % 2 == 1 for number in empty) and all(number % 2 == 0 for number in crowded)
        assert all((split_of(names[number]) != "train") == held_out for number in [*empty, *crowded])
        assert all(boxes[-1] == Box(0, 0, 1 + number, 2) for number, boxes in crowded.items())
        assert 0 not in crowded or len(crowded[0]) == 2
        seen += [*empty, *crowded]
    assert sorted(seen) == list(range(40))


def test_folder_without_photos_gives_none(tmp_path: Path) -> None:
    found = read_backgrounds(tmp_path)
    assert (found.without_faces, found.with_faces) == ((), ())


def test_labels_of_another_form_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "detect_labels.npz", id=np.array(["a"]), image=np.array([0]))
    with pytest.raises(ValueError, match=r"detect_labels\.npz: arrays \['box'\] are missing"):
        read_backgrounds(tmp_path)
