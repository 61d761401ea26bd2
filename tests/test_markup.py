from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68, Markup, subset

# As listed in the description of the 68 points: what is not named is on the middle line.
PAIRS_68 = [
    *[(0, 16), (1, 15), (2, 14), (3, 13), (4, 12), (5, 11), (6, 10), (7, 9)],
    *[(17, 26), (18, 25), (19, 24), (20, 23), (21, 22)],
    *[(31, 35), (32, 34)],
    *[(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)],
    *[(48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)],
]
FIXED_68 = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_mirror_of_68_is_the_published_list() -> None:
    expected = {i: i for i in FIXED_68}
    for a, b in PAIRS_68:
        expected |= {a: b, b: a}
    assert len(expected) == 68
    assert dict(enumerate(MARKUP_68.mirror)) == expected


def test_mirror_of_66_is_that_of_68_without_the_inner_mouth_corners() -> None:
    # 61, 62, 63 move up by one and 65, 66, 67 by two; everything below 60 stays.
    new_of = {**{i: i for i in range(60)}, 61: 60, 62: 61, 63: 62, 65: 63, 66: 64, 67: 65}
    assert tuple(new_of) == INDICES_66_IN_68
    assert MARKUP_66.n_points == 66
    for a, b in PAIRS_68:
        if (a, b) != (60, 64):
            assert MARKUP_66.mirror[new_of[a]] == new_of[b]
    assert [i for i, partner in enumerate(MARKUP_66.mirror) if i == partner] == [new_of[i] for i in FIXED_68]
    assert MARKUP_66.normaliser == (36, 45)
    assert MARKUP_66.groups["inner_lips"] == (60, 61, 62, 63, 64, 65)


@pytest.mark.parametrize("markup", [MARKUP_68, MARKUP_66], ids=lambda m: m.name)
def test_mirror_is_an_involution_and_keeps_the_eye_corners(markup: Markup) -> None:
    assert [markup.mirror[partner] for partner in markup.mirror] == list(range(markup.n_points))
    assert markup.mirror[markup.normaliser[0]] == markup.normaliser[1]


@pytest.mark.parametrize("markup", [MARKUP_68, MARKUP_66], ids=lambda m: m.name)
def test_groups_hold_every_landmark_once_and_lines_stay_mirrored(markup: Markup) -> None:
    assert sorted(i for members in markup.groups.values() for i in members) == list(range(markup.n_points))
    lines = {frozenset(edge) for edge in markup.edges}
    assert {frozenset(markup.mirror[i] for i in line) for line in lines} == lines


def test_edges_close_only_the_closed_groups() -> None:
    # Open: jaw 16, brows 4 + 4, nose 3 + 4. Closed: eyes 6 + 6, lips 12 + 8.
    assert len(MARKUP_68.edges) == 16 + 4 + 4 + 3 + 4 + 6 + 6 + 12 + 8
    assert (41, 36) in MARKUP_68.edges
    assert (16, 0) not in MARKUP_68.edges


@pytest.mark.parametrize("markup", [MARKUP_68, MARKUP_66], ids=lambda m: m.name)
def test_round_trip_through_json(markup: Markup) -> None:
    assert Markup.from_dict(json.loads(json.dumps(markup.to_dict()))) == markup


def test_subset_renumbers_in_the_order_given() -> None:
    eyes = subset(MARKUP_68, (45, 8, 36), "three")
    assert (eyes.mirror, eyes.normaliser) == ((2, 1, 0), (2, 0))
    assert eyes.groups == {"jaw": (1,), "right_eye": (2,), "left_eye": (0,)}


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ((36, 45, 48), "'bad': keeps landmark 48 but not its mirror image 54"),
        ((8, 27), r"normaliser's landmarks \(36, 45\)"),
    ],
)
def test_subset_errors(indices: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subset(MARKUP_68, indices, "bad")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_points": 4}, "3 mirror entries for 4 points"),
        ({"mirror": (1, 2, 0)}, "partner of 0 is 1"),
        ({"mirror": (1, 0, 3)}, "partner of 2 is 3"),
        ({"groups": {"eye": (0, 3)}}, "outside 0…2"),
        ({"normaliser": (0, -1)}, "outside 0…2"),
    ],
)
def test_invalid_markup_is_refused(change: dict[str, object], message: str) -> None:
    good = Markup("good", 3, (1, 0, 2), {"eye": (0, 1)}, frozenset(), (0, 1))
    with pytest.raises(ValueError, match=message):
        replace(good, **change)
