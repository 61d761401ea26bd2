"""Suggestions for misspelt words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known word closest to a misspelt one, ignoring punctuation and case. None if none is close.

    Args:
        cutoff: least likeness, 0…1 (``difflib``).
    Example: of ``["left_eye", "nose"]``, the nearest to ``"Left-Eey"`` is ``"left_eye"``.
    """
    known_of = {_plain(candidate): candidate for candidate in known}
    close = difflib.get_close_matches(_plain(word), known_of, n=1, cutoff=cutoff)
    return known_of[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """For the end of a message: ``" (did you mean 'left_eye'?)"``, or nothing."""
    meant = nearest(word, known)
    return "" if meant is None else f" (did you mean {meant!r}?)"


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
