"""Convert the package's docstrings to the Google style that mkdocstrings parses."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^(Args|Attributes|Raises):\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_RESULT = re.compile(r"^(Returns|Yields):\n((?:[ \t]+.*(?:\n|\Z)|\n)+)", re.MULTILINE)
_SEVERAL = re.compile(r"^([ \t]+)(\w+(?:, \w+)+):(.*(?:\n\1[ \t]+.*)*)", re.MULTILINE)


def evened(text: str) -> str:
    """Convert a docstring to the form that griffe's Google style expects.

    ``backend, device: what runs it`` under Args becomes two entries. The text under Returns becomes a paragraph,
    because a colon in it is punctuation. ``Example::`` becomes ``Example:``. A blank line is added before each section.
    """
    text = re.sub(r"::\n", ":\n", text)
    text = re.sub(r"(?<!\n)\n(?=(?:Args|Attributes|Raises|Returns|Yields|Example):)", "\n\n", text)
    text = _SECTION.sub(lambda m: f"{m[1]}:\n{_SEVERAL.sub(_repeated if m[1] == 'Raises' else _each, m[2])}", text)
    return _RESULT.sub(lambda m: f"**{m[1]}:** {' '.join(m[2].split())}\n\n", text)


def _each(match: re.Match[str]) -> str:
    space, names, meaning = match.groups()
    first, *others = names.split(", ")
    return "\n".join([f"{space}{first}:{meaning}", *(f"{space}{name}: as `{first}`." for name in others)])


def _repeated(match: re.Match[str]) -> str:
    space, names, meaning = match.groups()
    return "\n".join(f"{space}{name}:{meaning}" for name in names.split(", "))


class Evened(griffe.Extension):
    """A griffe extension that converts every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = evened(obj.docstring.value)
