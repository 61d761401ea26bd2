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


def test_names_of_the_68() -> None:
    names = MARKUP_68.names
    assert len(set(names)) == 68 and all(name == name.lower() and name.isidentifier() for name in names)
    # Right is the person's right, on the left of the image; numbers count along the part.
    by_hand = {0: "jaw_0", 8: "jaw_8", 17: "right_brow_0", 26: "left_brow_4", 30: "nose_bridge_3", 33: "nose_base_2"}
    by_hand |= {36: "right_eye_0", 45: "left_eye_3", 48: "outer_lips_0", 54: "outer_lips_6", 67: "inner_lips_7"}
    assert {index: names[index] for index in by_hand} == by_hand
    assert all(
        mine.startswith(group)
        for group, members in MARKUP_68.groups.items()
        for mine in map(names.__getitem__, members)
    )
    assert MARKUP_66.names == tuple(names[i] for i in INDICES_66_IN_68)


@pytest.mark.parametrize("markup", [MARKUP_68, MARKUP_66], ids=lambda m: m.name)
def test_files_of_version_0_1_hold_the_points_of_today(markup: Markup) -> None:
    old = json.loads(json.dumps(markup.to_dict()))
    old["names"] = []
    del old["gaps"]
    old["outer_eyes"] = old.pop("normaliser")
    assert Markup.from_dict(old) == markup
    # A different markup with the same name is not equal.
    other = {
        **old,
        "n_points": 2,
        "mirror": [1, 0],
        "groups": {},
        "closed": [],
        "outer_eyes": [0, 1],
        "derivations": {},
    }
    assert Markup.from_dict(other).names == () and not Markup.from_dict(other).same_points(markup)


def test_same_points_whatever_else() -> None:
    assert replace(MARKUP_68, names=(), groups={}, gaps=()).same_points(MARKUP_68)
    assert not replace(MARKUP_68, name="other").same_points(MARKUP_68)
    assert not MARKUP_66.same_points(MARKUP_68)
    assert not replace(MARKUP_68, mirror=tuple(range(68))).same_points(MARKUP_68)


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
