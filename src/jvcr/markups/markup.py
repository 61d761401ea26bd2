"""Landmark markups: how many points, which are mirror images, which are joined by a line.

A markup is plain data. It travels inside checkpoints and exported models, so that no other code depends on 68 points.

Source of the 68 points: Multi-PIE / iBUG (300-W). "Right" is the person's right, on the left of the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Terms = tuple[tuple[int, float], ...]
"""A weighted sum of landmarks: (index, weight), …"""


@dataclass(frozen=True)
class Derivation:
    """How N landmarks are made from those of another markup: each is a weighted sum of some of them.

    Attributes:
        terms: length N; the weights of one landmark sum to 1, so that it moves with the others.

    Raises:
        ValueError: a landmark has no terms, an index is negative, or weights do not sum to 1; it is named by number.
    Example: ``Derivation((((0, 1.0),), ((0, 0.5), (2, 0.5))))`` is landmark 0, and the middle of 0 and 2.
    """

    terms: tuple[Terms, ...]

    def __post_init__(self) -> None:
        for number, terms in enumerate(self.terms):
            if not terms or any(index < 0 for index, _ in terms):
                raise ValueError(f"landmark {number} comes from {terms}; expected at least one landmark, from 0 on")
            total = math.fsum(weight for _, weight in terms)
            if not abs(total - 1) < 1e-6:
                raise ValueError(f"the weights of landmark {number} sum to {total:g}; expected 1")

    @classmethod
    def picking(cls, indices: Iterable[int]) -> Derivation:
        """``points[list(indices)]``."""
        return cls(tuple(((index, 1.0),) for index in indices))

    def apply(self, points: NDArray[Any]) -> NDArray[Any]:
        """(…, M, K) points of the other markup → (…, N, K), of the same type. NaN stays with what it belongs to.

        Raises:
            ValueError: a landmark comes from one beyond M.
        """
        last = max(index for terms in self.terms for index, _ in terms)
        if last >= points.shape[-2]:
            raise ValueError(f"a landmark comes from number {last}, but there are {points.shape[-2]}: 0…")
        longest = max(map(len, self.terms))
        # Shorter sums are filled up with their own first landmark, at weight 0.
        filled = [[*terms, *[(terms[0][0], 0.0)] * (longest - len(terms))] for terms in self.terms]
        out = np.zeros((*points.shape[:-2], len(self.terms), points.shape[-1]), points.dtype)
        for column in zip(*filled, strict=True):
            indices, weights = zip(*column, strict=True)
            out += points[..., list(indices), :] * np.array(weights, points.dtype)[:, None]
        return out


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
        names: length N, one name per landmark; empty for a markup that only numbers them.
        lines: pairs joined by a line in a drawing; None takes them from the groups.
        derivations: name of another markup → how these landmarks are made from its.
        gaps: pairs on either side of an opening: upper and lower lid, upper and lower inner lip.
    """

    name: str
    n_points: int
    mirror: tuple[int, ...]
    groups: dict[str, tuple[int, ...]]
    closed: frozenset[str]
    normaliser: tuple[int, int]
    names: tuple[str, ...] = ()
    lines: tuple[tuple[int, int], ...] | None = None
    derivations: dict[str, Derivation] = field(default_factory=dict)
    gaps: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.mirror) != self.n_points:
            raise ValueError(f"markup {self.name!r}: {len(self.mirror)} mirror entries for {self.n_points} points")
        for index, partner in enumerate(self.mirror):
            if not 0 <= partner < self.n_points or self.mirror[partner] != index:
                raise ValueError(
                    f"markup {self.name!r}: the mirror partner of {index} is {partner}, but not the reverse"
                )
        used = [i for members in self.groups.values() for i in members] + list(self.normaliser)
        used += [i for pair in (*(self.lines or ()), *self.gaps) for i in pair]
        if any(not 0 <= i < self.n_points for i in used):
            raise ValueError(
                f"markup {self.name!r}: a group, line, gap or normaliser lies outside 0…{self.n_points - 1}"
            )
        if self.normaliser[0] == self.normaliser[1]:
            raise ValueError(f"markup {self.name!r}: the normaliser is {self.normaliser}; expected two landmarks")
        if self.names and (len(self.names) != self.n_points or len(set(self.names)) != self.n_points):
            raise ValueError(f"markup {self.name!r}: expected {self.n_points} different names, or none")
        for source, derivation in self.derivations.items():
            if len(derivation.terms) != self.n_points:
                raise ValueError(
                    f"markup {self.name!r}: {len(derivation.terms)} landmarks made from {source!r}, "
                    f"expected {self.n_points}"
                )

    def same_points(self, other: Markup) -> bool:
        """Whether the landmarks are those of ``other``, whatever their names, groups and lines.

        Decided by name, number and mirror pairs, so that files of older versions, which hold less, still fit.
        """
        return (self.name, self.n_points, self.mirror) == (other.name, other.n_points, other.mirror)

    @property
    def labels(self) -> tuple[str, ...]:
        """Length N: the names, or the numbers of landmarks that have none."""
        return self.names or tuple(map(str, range(self.n_points)))

    def derivation_from(self, source: Markup) -> Derivation:
        """How these landmarks are made from those of ``source``; of the same markup, each is its own.

        Raises:
            ValueError: they cannot be; the message says from what they can.
        """
        if self.same_points(source):
            return Derivation.picking(range(self.n_points))
        if source.name not in self.derivations:
            known = ", ".join(map(repr, self.derivations)) or "no other markup"
            raise ValueError(
                f"markup {self.name!r} ({self.n_points} points) cannot be made from {source.name!r} "
                f"({source.n_points} points); it says how to make it from {known} (docs/markup.md: [from])"
            )
        return self.derivations[source.name]

    def indices_of(self, other: Markup) -> tuple[int, ...] | None:
        """Where the landmarks of ``other`` are among these; None when one of them is not.

        Example: the 71 points of the authors' code begin with the 68, so 0…67.
        """
        if self.same_points(other):
            return tuple(range(self.n_points))
        if other.name not in self.derivations:
            return None
        single = {
            terms[0][0]: index for index, terms in enumerate(self.derivations[other.name].terms) if len(terms) == 1
        }
        found = [single[index] for index in range(other.n_points) if index in single]
        return tuple(found) if len(found) == other.n_points else None

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

    @property
    def rims(self) -> tuple[int, ...]:
        """The landmarks around openings: the groups that have a gap. Of the 68, eyelids and inner lips."""
        at_gaps = {index for pair in self.gaps for index in pair}
        return tuple(sorted({i for members in self.groups.values() if at_gaps & set(members) for i in members}))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``from_dict`` is the inverse."""
        values = {
            "name": self.name,
            "n_points": self.n_points,
            "mirror": list(self.mirror),
            "groups": {name: list(members) for name, members in self.groups.items()},
            "closed": sorted(self.closed),
            "normaliser": list(self.normaliser),
            "names": list(self.names),
            "lines": None if self.lines is None else [list(pair) for pair in self.lines],
        }
        if self.gaps:
            values["gaps"] = [list(pair) for pair in self.gaps]
        if self.derivations:
            values["derivations"] = {
                source: [[list(term) for term in terms] for terms in derivation.terms]
                for source, derivation in self.derivations.items()
            }
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Markup:
        """Inverse of ``to_dict``.

        The 68 and 66 points of version 0.1 have no names and no gaps; they get today's.
        """
        # Weights of version 0.1 call the normaliser by what it is on a face.
        first, second = values["normaliser"] if "normaliser" in values else values["outer_eyes"]
        lines = values.get("lines")
        found = cls(
            name=values["name"],
            n_points=values["n_points"],
            mirror=tuple(values["mirror"]),
            groups={name: tuple(members) for name, members in values["groups"].items()},
            closed=frozenset(values["closed"]),
            normaliser=(first, second),
            names=tuple(values.get("names", ())),
            lines=None if lines is None else tuple((a, b) for a, b in lines),
            derivations={
                source: Derivation(tuple(tuple((i, w) for i, w in terms) for terms in landmarks))
                for source, landmarks in values.get("derivations", {}).items()
            },
            gaps=tuple((a, b) for a, b in values.get("gaps", ())),
        )
        known = next((markup for markup in (MARKUP_68, MARKUP_66) if found.same_points(markup)), found)
        return replace(found, names=found.names or known.names, gaps=found.gaps or known.gaps)


def _mirror(n_points: int, pairs: dict[int, int]) -> tuple[int, ...]:
    partner = list(range(n_points))
    for a, b in pairs.items():
        partner[a], partner[b] = b, a
    return tuple(partner)


_PAIRS_68 = {i: 16 - i for i in range(8)}
_PAIRS_68 |= {17: 26, 18: 25, 19: 24, 20: 23, 21: 22, 31: 35, 32: 34}
_PAIRS_68 |= {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
_PAIRS_68 |= {48: 54, 49: 53, 50: 52, 59: 55, 58: 56, 60: 64, 61: 63, 67: 65}

_GROUPS_68 = {
    "jaw": tuple(range(0, 17)),
    "right_brow": tuple(range(17, 22)),
    "left_brow": tuple(range(22, 27)),
    "nose_bridge": tuple(range(27, 31)),
    "nose_base": tuple(range(31, 36)),
    "right_eye": tuple(range(36, 42)),
    "left_eye": tuple(range(42, 48)),
    "outer_lips": tuple(range(48, 60)),
    "inner_lips": tuple(range(60, 68)),
}

MARKUP_68 = Markup(
    name="ibug-68",
    n_points=68,
    mirror=_mirror(68, _PAIRS_68),
    groups=_GROUPS_68,
    closed=frozenset({"right_eye", "left_eye", "outer_lips", "inner_lips"}),
    normaliser=(36, 45),
    # jaw_0 … jaw_16, right_brow_0 … inner_lips_7, as in the markups that hold the 68 (docs/markup.md).
    names=tuple(f"{group}_{place}" for group, members in _GROUPS_68.items() for place in range(len(members))),
    gaps=((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65)),
)

INDICES_66_IN_68: tuple[int, ...] = tuple(i for i in range(68) if i not in (60, 64))
"""3DFAW's 66 points are the 68 without the inner mouth corners: ``points_68[list(INDICES_66_IN_68)]``."""


def subset(markup: Markup, indices: tuple[int, ...], name: str) -> Markup:
    """The markup of ``points[list(indices)]``: names, mirror pairs and groups renumbered; it says where it comes from.

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
    groups = {g: members for g, members in groups.items() if members}
    return Markup(
        name=name,
        n_points=len(indices),
        mirror=tuple(new_of[markup.mirror[old]] for old in indices),
        groups=groups,
        closed=markup.closed & groups.keys(),
        normaliser=(new_of[markup.normaliser[0]], new_of[markup.normaliser[1]]),
        names=tuple(markup.names[old] for old in indices) if markup.names else (),
        lines=None
        if markup.lines is None
        else tuple((new_of[a], new_of[b]) for a, b in markup.lines if a in new_of and b in new_of),
        derivations={markup.name: Derivation.picking(indices)}
        | {source: Derivation(tuple(d.terms[old] for old in indices)) for source, d in markup.derivations.items()},
        gaps=tuple((new_of[a], new_of[b]) for a, b in markup.gaps if a in new_of and b in new_of),
    )


MARKUP_66 = subset(MARKUP_68, INDICES_66_IN_68, "3dfaw-66")
