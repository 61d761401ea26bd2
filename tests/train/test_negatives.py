"""Hard negatives: what a detector takes for a face is found again, where it is, and shown in training."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.images import Image

torch = pytest.importorskip("torch")

from jvcr.train.data.negatives import HardNegatives, mine  # noqa: E402

SIZE_PX = 64


def photo_with_a_spot(x: int, y: int) -> Image:
    photo = np.full((96, 160, 3), 40, np.uint8)
    photo[y - 6 : y + 7, x - 6 : x + 7] = (250, 0, 0)
    return photo


def red_is_a_face(pictures: Image) -> NDArray[np.float32]:
    """A detector that takes the reddest cell for a face, if it is red enough, and says in which corner of it."""
    cells = np.zeros((len(pictures), 7, SIZE_PX // 8, SIZE_PX // 8), np.float32)
    for picture, out in zip(pictures, cells, strict=True):
        red = (picture[..., 0] > 200).astype(np.float32)
        if red.sum() < 20:
            continue
        rows, columns = np.nonzero(red)
        x, y = (columns.mean() - 3.5) / 8, (rows.mean() - 3.5) / 8
        column, row = round(x), round(y)
        out[:, row, column] = 0.8, x - column, y - row, 0, 0, 1, 0
    return cells


def test_false_faces_are_found_where_they_are() -> None:
    mined = mine(red_is_a_face, [photo_with_a_spot(110, 40), np.full((96, 160, 3), 40, np.uint8)], SIZE_PX, 0.5)
    assert {one.photo for one in mined.found} == {0}
    # In the whole photo and in a quarter of it, at four rolls each.
    assert {one.side for one in mined.found} == {96.0, 48.0}
    assert {one.roll_deg for one in mined.found} == {0.0, 90.0, 180.0, 270.0}
    whole = [one for one in mined.found if one.side == 96]
    np.testing.assert_allclose([[one.x, one.y] for one in whole], [[110, 40]] * len(whole), atol=2)


def test_what_is_hardly_a_face_is_none() -> None:
    assert mine(red_is_a_face, [photo_with_a_spot(110, 40)], SIZE_PX, 0.9).found == []


def test_views_show_the_false_face_in_many_ways() -> None:
    photo = photo_with_a_spot(110, 40)
    mined = mine(red_is_a_face, [photo], SIZE_PX, 0.5)
    views = [mined.view(SIZE_PX, np.random.default_rng(seed)) for seed in range(20)]
    assert all((view[..., 0] > 150).sum() > 10 for view in views)
    assert len({view.tobytes() for view in views}) == 20
    again = mined.view(SIZE_PX, np.random.default_rng(3))
    np.testing.assert_array_equal(again, views[3])


def test_the_surer_is_shown_more_often() -> None:
    photos = [photo_with_a_spot(110, 40), np.full((96, 160, 3), 90, np.uint8)]
    one = mine(red_is_a_face, photos, SIZE_PX, 0.5).found[0]
    hard = HardNegatives([one, one._replace(photo=1, score=0.2)], photos)
    shown = [hard.view(16, np.random.default_rng(seed)).max() > 150 for seed in range(200)]
    # 0.8 of 1.
    assert 0.7 < np.mean(shown) < 0.9
