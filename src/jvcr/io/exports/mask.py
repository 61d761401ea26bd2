"""A triangulated face mask over the 68 points."""

from __future__ import annotations

from jvcr.markups.markup import MARKUP_68, Markup

# fmt: off
TRIANGLES_68: tuple[tuple[int, int, int], ...] = (
    (0, 1, 36), (0, 36, 17), (1, 2, 41), (1, 41, 36), (2, 3, 49), (2, 31, 41), (2, 49, 31), (3, 4, 48), (3, 48, 49),
    (4, 5, 48), (5, 6, 59), (5, 59, 48), (6, 7, 59), (7, 8, 58), (7, 58, 59), (8, 9, 56), (8, 56, 57), (8, 57, 58),
    (9, 10, 55), (9, 55, 56), (10, 11, 55), (11, 12, 54), (11, 54, 55), (12, 13, 54), (13, 14, 53), (13, 53, 54),
    (14, 15, 46), (14, 35, 53), (14, 46, 35), (15, 16, 45), (15, 45, 46), (16, 26, 45), (17, 36, 18), (18, 36, 37),
    (18, 37, 19), (19, 20, 24), (19, 37, 20), (20, 21, 22), (20, 22, 23), (20, 23, 24), (20, 37, 38), (20, 38, 21),
    (21, 27, 22), (21, 38, 39), (21, 39, 27), (22, 27, 42), (22, 42, 43), (22, 43, 23), (23, 43, 44), (23, 44, 24),
    (24, 44, 25), (25, 44, 45), (25, 45, 26), (27, 28, 42), (27, 39, 28), (28, 29, 47), (28, 39, 40), (28, 40, 29),
    (28, 47, 42), (29, 30, 35), (29, 31, 30), (29, 35, 47), (29, 40, 31), (30, 31, 32), (30, 32, 33), (30, 33, 34),
    (30, 34, 35), (31, 40, 41), (31, 49, 50), (31, 50, 32), (32, 50, 33), (33, 50, 51), (33, 51, 52), (33, 52, 34),
    (34, 52, 35), (35, 46, 47), (35, 52, 53), (48, 59, 60), (48, 60, 49), (49, 60, 61), (49, 61, 50), (50, 61, 62),
    (50, 62, 51), (51, 62, 52), (52, 62, 63), (52, 63, 53), (53, 63, 64), (53, 64, 54), (54, 64, 55), (55, 64, 65),
    (55, 65, 56), (56, 65, 66), (56, 66, 57), (57, 66, 58), (58, 66, 67), (58, 67, 59), (59, 67, 60),
)
# fmt: on
"""From jaw to brows, with holes for the eyes and the mouth. Every contour of the markup is an edge.

Counter-clockwise as the camera sees a frontal face, so that the normals point towards the viewer. The lips were opened
before the mean head was triangulated (Delaunay), so that lips which touch are not joined across the mouth.
"""


def mask_triangles(markup: Markup) -> tuple[tuple[int, int, int], ...]:
    """The mask's triangles as indices of a markup's landmarks; empty unless the markup holds all 68 points."""
    place = markup.indices_of(MARKUP_68)
    return () if place is None else tuple((place[a], place[b], place[c]) for a, b, c in TRIANGLES_68)
