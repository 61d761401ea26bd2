"""Make ``src/jvcr/markups/synthetic-200.toml``: ``python recipes/synthetic_200.py OUT.toml``.

All 200 points are weighted sums of the 68, so that a table of 68 points can train a dense markup. Points 0 to 67 are
the 68 themselves. 68 to 130 are the midpoints of their 63 contour segments. 131 to 181 are three points on each of 17
lines across the cheeks and the chin. 182 to 199 lie between brows and eyes, and beside the bridge of the nose. Each
point has a mirror partner or lies on the midline.
"""

import sys
from itertools import pairwise
from pathlib import Path

from jvcr.markups.file import write_markup
from jvcr.markups.markup import MARKUP_68, Derivation, Markup

MIRROR = MARKUP_68.mirror

# Lines from each point of the right half of the jaw to a point inside the face.
INSIDE = {0: 36, 1: 36, 2: 41, 3: 31, 4: 31, 5: 48, 6: 59, 7: 58, 8: 57}
INSIDE |= {MIRROR[jaw]: MIRROR[inner] for jaw, inner in INSIDE.items() if jaw != 8}
SHARES = (0.25, 0.5, 0.75)

# Right brow to right eyelid; inner corner of the right eye, or wing of the nose, to the bridge of the nose.
SINGLE = [(17, 36), (18, 37), (19, 37), (20, 38), (21, 39), (39, 28), (39, 29), (31, 28), (31, 29)]
SINGLE += [(MIRROR[a], MIRROR[b]) for a, b in SINGLE]

names = list(MARKUP_68.names)
terms = [{i: 1.0} for i in range(68)]
groups = {}


def between(a: int, b: int, share: float, name: str) -> int:
    """Add the point at ``share`` of the way from a to b, and return its index."""
    names.append(name)
    terms.append({a: 1 - share, b: share})
    return len(names) - 1


for group, members in MARKUP_68.groups.items():
    ring = list(pairwise(members)) + ([(members[-1], members[0])] if group in MARKUP_68.closed else [])
    middles = [between(a, b, 0.5, f"{group}_{place}_half") for place, (a, b) in enumerate(ring)]
    chain = [point for pair in zip(members, middles, strict=False) for point in pair]
    groups[group] = tuple(chain if group in MARKUP_68.closed else [*chain, members[-1]])
for jaw in range(17):
    on_the_way = [between(jaw, INSIDE[jaw], share, f"cheek_{jaw}_{n}") for n, share in enumerate(SHARES)]
    groups[f"cheek_{jaw}"] = (jaw, *on_the_way, INSIDE[jaw])
for a, b in SINGLE:
    groups[f"{names[a]}_to_{names[b]}"] = (a, between(a, b, 0.5, f"{names[a]}_to_{names[b]}"), b)

# The mirror partner of a point is the weighted sum of its sources' mirror partners.
number_of = {frozenset(sources.items()): number for number, sources in enumerate(terms)}
mirror = tuple(number_of[frozenset((MIRROR[i], weight) for i, weight in sources.items())] for sources in terms)

markup = Markup(
    name="synthetic-200",
    n_points=len(names),
    mirror=mirror,
    groups=groups,
    closed=MARKUP_68.closed,
    normaliser=MARKUP_68.normaliser,
    names=tuple(names),
    derivations={MARKUP_68.name: Derivation(tuple(tuple(sources.items()) for sources in terms))},
)
assert markup.n_points == len(number_of) == 200
write_markup(
    Path(sys.argv[1]),
    markup,
    "200 points on and between the 68, for trying a dense markup: nobody marks these by hand.\n"
    "Made by recipes/synthetic_200.py.",
)
