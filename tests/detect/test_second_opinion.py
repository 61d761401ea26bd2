"""Second opinions on doubtful proposals, with a stub network."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.detect.base import Proposal
from jvcr.detect.second_opinion import TILE, with_second_opinions
from jvcr.frames import Box
from jvcr.images import Image

PHOTO = np.zeros((200, 300, 3), np.uint8)


class Judge:
    """Sees a face of 5.33 × 5.33 cells around the middle of every tile, or ``off`` cells to the right of it."""

    def __init__(self, score: float, off: float = 0.0) -> None:
        self.score, self.off = score, off
        self.tiles: list[Image] = []

    def __call__(self, tiles: Image) -> NDArray[np.float32]:
        self.tiles += list(tiles)
        cells = np.zeros((len(tiles), 7, TILE // 8, TILE // 8), np.float32)
        size = np.log(TILE / 1.5 / 8)
        # The middle of the tile is half a cell beyond cell 3.
        cells[:, :, 3, 3] = self.score, 0.5 + self.off, 0.5, size, size, 1, 0
        return cells


def proposal(score: float, x: float = 100, roll_deg: float = 0.0) -> Proposal:
    return Proposal(Box(x, 50, x + 60, 110), score, roll_deg)


def test_the_new_score_is_the_geometric_mean_of_the_odds() -> None:
    # Odds of 1 / 4 and 4 / 1.
    (one,) = with_second_opinions(Judge(0.8), PHOTO, [proposal(0.2)])
    assert one.score == pytest.approx(0.5)
    assert one.box == proposal(0.2).box


def test_a_face_elsewhere_in_the_tile_does_not_count() -> None:
    # The least score, 0.01, has odds of 1 / 99; the mean with odds of 1 is 1 / sqrt(99).
    (one,) = with_second_opinions(Judge(0.9, off=3.0), PHOTO, [proposal(0.5)])
    assert one.score == pytest.approx(1 / (1 + 99**0.5))


def test_sure_proposals_and_hopeless_ones_beside_them_are_not_judged() -> None:
    judge = Judge(0.9)
    given = [proposal(0.61), proposal(0.41, x=10), proposal(0.39, x=200)]
    scores = [one.score for one in with_second_opinions(judge, PHOTO, given)]
    assert len(judge.tiles) == 1
    assert scores == [pytest.approx(0.714, abs=0.01), 0.61, 0.39]
    # Without a sure one, all are judged.
    with_second_opinions(judge, PHOTO, given[1:])
    assert len(judge.tiles) == 3


def test_faces_that_the_frame_cuts_are_not_judged() -> None:
    # 2 of 60 pixels beyond the left border may be missing, 4 of 60 may not.
    judge = Judge(0.9)
    inside, cut = with_second_opinions(judge, PHOTO, [proposal(0.5, x=-2.5), proposal(0.5, x=-4.5)])
    assert len(judge.tiles) == 1
    assert (inside.box.x0, cut.box.x0) == (-2.5, -4.5)
    assert inside.score == pytest.approx(0.75) and cut.score == 0.5


def test_tiles_are_upright_and_one_and_a_half_times_the_box() -> None:
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[50:111, 100:161] = 255  # the box
    judge = Judge(0.9)
    with_second_opinions(judge, photo, [proposal(0.5), proposal(0.4, roll_deg=90)])
    upright, _ = judge.tiles
    bright = np.flatnonzero(upright[TILE // 2, :, 0] > 127)
    assert len(bright) == pytest.approx(TILE / 1.5, abs=1.5)
    # A mark at the right of the photo is at the top of the tile of a head that is turned clockwise by 90°.
    photo[75:85, 150:161] = 60
    judge = Judge(0.9)
    with_second_opinions(judge, photo, [proposal(0.4, roll_deg=90)])
    (turned,) = judge.tiles
    assert turned[13, TILE // 2, 0] < 100 < turned[TILE // 2, 13, 0]


def test_nothing_proposed_asks_nothing() -> None:
    judge = Judge(0.9)
    assert with_second_opinions(judge, PHOTO, []) == []
    assert judge.tiles == []
