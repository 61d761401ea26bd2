"""Landmark markups: how many points, which are mirror images, which are joined by a line.

A markup is plain data. It travels inside checkpoints and exported models, so that nothing else has
to know that there are 68 points.

Source of the 68 points: Multi-PIE / iBUG (300-W). "Right" is the person's right, on the left of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Markup:
    """An ordered set of N landmarks.

    Attributes:
        name: for messages and files.
        n_points: N.
        mirror: length N; ``mirror[i]`` is the landmark that i becomes in the mirror image.
        groups: name → indices of a facial part, in drawing order.
        closed: names of the groups whose outline is closed.
        normaliser: indices of the two landmarks whose 3D distance GTE is divided by; for faces, the outer eye corners.
        names: length N, one name a landmark; empty for a markup that only numbers them.
        lines: pairs joined by a line in a drawing; None takes them from the groups.
    """

    name: str
    n_points: int
    mirror: tuple[int, ...]
    groups: dict[str, tuple[int, ...]]
    closed: frozenset[str]
    normaliser: tuple[int, int]
    names: tuple[str, ...] = ()
    lines: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        if len(self.mirror) != self.n_points:
            raise ValueError(f"markup {self.name!r}: {len(self.mirror)} mirror entries for {self.n_points} points")
        for index, partner in enumerate(self.mirror):
            if not 0 <= partner < self.n_points or self.mirror[partner] != index:
                raise ValueError(
                    f"markup {self.name!r}: the mirror partner of {index} is {partner}, but not the reverse"
                )
        used = [i for members in self.groups.values() for i in members] + list(self.normaliser)
        used += [i for pair in self.lines or () for i in pair]
        if any(not 0 <= i < self.n_points for i in used):
            raise ValueError(f"markup {self.name!r}: a group, line or normaliser lies outside 0…{self.n_points - 1}")
        if self.normaliser[0] == self.normaliser[1]:
            raise ValueError(f"markup {self.name!r}: the normaliser is {self.normaliser}; expected two landmarks")
        if self.names and (len(self.names) != self.n_points or len(set(self.names)) != self.n_points):
            raise ValueError(f"markup {self.name!r}: expected {self.n_points} different names, or none")

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Pairs of landmarks joined by a line in a drawing."""
        if self.lines is not None:
            return self.lines
        pairs: list[tuple[int, int]] = []
        for name, members in self.groups.items():
            pairs += pairwise(members)
            if name in self.closed:
                pairs.append((members[-1], members[0]))
        return tuple(pairs)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "n_points": self.n_points,
            "mirror": list(self.mirror),
            "groups": {name: list(members) for name, members in self.groups.items()},
            "closed": sorted(self.closed),
            "normaliser": list(self.normaliser),
            "names": list(self.names),
            "lines": None if self.lines is None else [list(pair) for pair in self.lines],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Markup:
        # Weights of version 0.1 call the normaliser by what it is on a face.
        first, second = values["normaliser"] if "normaliser" in values else values["outer_eyes"]
        lines = values.get("lines")
        return cls(
            name=values["name"],
            n_points=values["n_points"],
            mirror=tuple(values["mirror"]),
            groups={name: tuple(members) for name, members in values["groups"].items()},
            closed=frozenset(values["closed"]),
            normaliser=(first, second),
            names=tuple(values.get("names", ())),
            lines=None if lines is None else tuple((a, b) for a, b in lines),
        )


def _mirror(n_points: int, pairs: dict[int, int]) -> tuple[int, ...]:
    partner = list(range(n_points))
    for a, b in pairs.items():
        partner[a], partner[b] = b, a
    return tuple(partner)


_PAIRS_68 = {i: 16 - i for i in range(8)}
_PAIRS_68 |= {17: 26, 18: 25, 19: 24, 20: 23, 21: 22, 31: 35, 32: 34}
_PAIRS_68 |= {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
_PAIRS_68 |= {48: 54, 49: 53, 50: 52, 59: 55, 58: 56, 60: 64, 61: 63, 67: 65}

MARKUP_68 = Markup(
    name="ibug-68",
    n_points=68,
    mirror=_mirror(68, _PAIRS_68),
    groups={
        "jaw": tuple(range(0, 17)),
        "right_brow": tuple(range(17, 22)),
        "left_brow": tuple(range(22, 27)),
        "nose_bridge": tuple(range(27, 31)),
        "nose_base": tuple(range(31, 36)),
        "right_eye": tuple(range(36, 42)),
        "left_eye": tuple(range(42, 48)),
        "outer_lips": tuple(range(48, 60)),
        "inner_lips": tuple(range(60, 68)),
    },
    closed=frozenset({"right_eye", "left_eye", "outer_lips", "inner_lips"}),
    normaliser=(36, 45),
)

INDICES_66_IN_68: tuple[int, ...] = tuple(i for i in range(68) if i not in (60, 64))
"""3DFAW's 66 points are the 68 without the inner mouth corners: ``points_68[list(INDICES_66_IN_68)]``."""


def subset(markup: Markup, indices: tuple[int, ...], name: str) -> Markup:
    """The markup of ``points[list(indices)]``: names, mirror pairs and groups renumbered.

    Raises:
        ValueError: the subset splits a mirror pair, or leaves out a landmark of the normaliser.
    """
    new_of = {old: new for new, old in enumerate(indices)}
    for old in indices:
        if markup.mirror[old] not in new_of:
            raise ValueError(f"markup {name!r}: keeps landmark {old} but not its mirror image {markup.mirror[old]}")
    if any(i not in new_of for i in markup.normaliser):
        raise ValueError(f"markup {name!r}: the normaliser's landmarks {markup.normaliser} must be kept")
    groups = {g: tuple(new_of[i] for i in members if i in new_of) for g, members in markup.groups.items()}
    return Markup(
        name=name,
        n_points=len(indices),
        mirror=tuple(new_of[markup.mirror[old]] for old in indices),
        groups={g: members for g, members in groups.items() if members},
        closed=markup.closed,
        normaliser=(new_of[markup.normaliser[0]], new_of[markup.normaliser[1]]),
        names=tuple(markup.names[old] for old in indices) if markup.names else (),
        lines=None
        if markup.lines is None
        else tuple((new_of[a], new_of[b]) for a, b in markup.lines if a in new_of and b in new_of),
    )


MARKUP_66 = subset(MARKUP_68, INDICES_66_IN_68, "3dfaw-66")
