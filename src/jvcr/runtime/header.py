"""Reading the header of a weights file. Every field is checked, because the file may not be trustworthy."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeGuard, TypeVar, get_args, get_origin, get_type_hints

from jvcr.frames import CropRule
from jvcr.markups.markup import Markup
from jvcr.runtime.confidence import Confidence

_LARGEST = 16_384
"""Largest allowed size in a configuration. A larger one means a damaged file, and could exhaust the memory."""

_MOST = 64
"""Largest allowed length of a list of sizes."""

_Made = TypeVar("_Made")


class Fields:
    """A JSON object from a file's metadata, with checked access to its fields.

    Args:
        path: of the file, for messages. name: of the field that holds the object, ``""`` for the whole entry.
    Raises:
        ValueError: from every method; the message names the file and the field.
    """

    def __init__(self, path: Path, name: str, values: Any) -> None:
        self.path, self.name = path, name
        if not isinstance(values, dict):
            self.fail("", f"expected a JSON object, got {_short(values)}")
        self.values: dict[str, Any] = values

    @classmethod
    def of(cls, path: Path, key: str, text: str | None) -> Fields:
        """Parse the entry ``key`` of a file's metadata; ``text`` is None if the file has no such entry."""
        if text is None:
            raise ValueError(f"{path}: no {key!r} entry in its metadata; expected a file written by `jvcr export`")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}: metadata field {key!r}: not JSON ({type(error).__name__}: {error}); the file is damaged or "
                "was not written by jvcr"
            ) from None
        return cls(path, "", values)

    def fail(self, key: str, reason: str) -> NoReturn:
        """Raise the error for an invalid field."""
        field = ".".join(part for part in (self.name, key) if part) or "jvcr"
        raise ValueError(
            f"{self.path}: metadata field {field!r}: {reason}; the file is damaged or was not written by jvcr"
        )

    def inner(self, key: str, optional: bool = False) -> Fields:
        """A field that is itself an object."""
        if optional and key not in self.values:
            return Fields(self.path, key, {})
        return Fields(self.path, f"{self.name}.{key}" if self.name else key, self._there(key))

    def whole(self, key: str, low: int = 0, high: int = _LARGEST) -> int:
        """A field that is a whole number."""
        value = self._there(key)
        if not _is_whole(value) or not low <= value <= high:
            self.fail(key, f"expected a whole number from {low} to {high}, got {_short(value)}")
        return int(value)

    def made(self, make: Callable[[], _Made]) -> _Made:
        """Call ``make``; its errors are reported with the name of this object."""
        try:
            return make()
        except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, AttributeError) as error:
            self.fail("", f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")

    def fit(self, kind: type[Any]) -> None:
        """Check the fields against those of a dataclass: numbers, strings, booleans, lists of integers, dataclasses."""
        known = {field.name: field for field in dataclasses.fields(kind)}
        for key in self.values.keys() - known.keys():
            self.fail(key, f"unknown; expected {', '.join(known)}")
        hints = get_type_hints(kind)
        for key, field in known.items():
            if key in self.values:
                self._fits(key, hints[key])
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                self.fail(key, "missing")

    def _there(self, key: str) -> Any:
        if key not in self.values:
            self.fail(key, "missing")
        return self.values[key]

    def _fits(self, key: str, hint: Any) -> None:
        value = self.values[key]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            self.inner(key).fit(hint)
        elif hint is int:
            self.whole(key)
        elif hint is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
                self.fail(key, f"expected a number, got {_short(value)}")
        elif hint in (str, bool):
            if not isinstance(value, hint):
                self.fail(key, f"expected {'a text' if hint is str else 'true or false'}, got {_short(value)}")
        elif get_origin(hint) is tuple and set(get_args(hint)) <= {int, ...}:
            count = None if ... in get_args(hint) else len(get_args(hint))
            fits = isinstance(value, list) and len(value) <= _MOST and count in (None, len(value))
            if not fits or not all(_is_whole(one) and 0 <= one <= _LARGEST for one in value):
                many = "whole numbers" if count is None else f"{count} whole numbers"
                self.fail(key, f"expected a list of {many} up to {_LARGEST}, got {_short(value)}")


class Description(NamedTuple):
    """The description in an exported file; fields as in ``jvcr.runtime.base.Runtime``."""

    image_size: int
    markup: Markup
    crop_rule: CropRule
    confidence: Confidence


def read_described(path: Path, header: str | None) -> Description:
    """Parse the header of an exported file.

    Raises:
        ValueError: it is missing or wrong; the message names file and field.
    """
    fields = Fields.of(path, "jvcr", header)
    config = fields.inner("config")
    size = config.whole("image_size", 1)
    rule = read_crop_rule(config)
    markup = read_markup(fields.inner("markup"))
    if "n_points" in config.values and config.whole("n_points") != markup.n_points:
        config.fail("n_points", f"{config.values['n_points']}, but the markup has {markup.n_points}")
    return Description(size, markup, rule, read_confidence(fields.inner("about", optional=True)))


def read_confidence(about: Fields) -> Confidence:
    """The constants of the face score from the header's ``about``; the defaults if it has none."""
    if "confidence" not in about.values:
        return Confidence()
    stored = about.inner("confidence")
    return stored.made(lambda: Confidence.from_dict(stored.values))


def read_crop_rule(config: Fields) -> CropRule:
    """The crop rule of a network's configuration; the default rule if it has none."""
    crop = config.inner("crop", optional=True)
    crop.fit(CropRule)
    return crop.made(lambda: CropRule(**crop.values))


def detector_multiple(path: Path, header: str) -> int:
    """The number that a detector's input height and width must be multiples of: 8 × 2^(levels - 1).

    Raises:
        ValueError: the header is damaged. The message names the file and the field.
    """
    config = Fields.of(path, "jvcr-detector", header).inner("config")
    levels = config.values.get("channels")
    if not _are_whole(levels) or not 1 <= len(levels) <= 10:
        config.fail("channels", f"expected a list of 1 to 10 whole numbers, got {_short(levels)}")
    return 8 * 2 ** (len(levels) - 1)


def read_markup(fields: Fields) -> Markup:
    """Check the fields of a markup and build it."""
    eyes = "outer_eyes" if "normaliser" not in fields.values and "outer_eyes" in fields.values else "normaliser"
    for key, right, expected, needed in (
        ("name", lambda v: isinstance(v, str), "a text", True),
        ("n_points", lambda v: _is_whole(v) and 1 <= v <= _LARGEST, f"a whole number from 1 to {_LARGEST}", True),
        ("mirror", _are_whole, "a list of whole numbers", True),
        ("groups", _are_groups, "lists of whole numbers by name", True),
        ("closed", _are_texts, "a list of texts", True),
        (eyes, lambda v: _are_whole(v) and len(v) == 2, "two whole numbers", True),
        ("names", _are_texts, "a list of texts", False),
        ("lines", lambda v: v is None or _are_pairs(v), "pairs of whole numbers", False),
        ("gaps", _are_pairs, "pairs of whole numbers", False),
        ("derivations", _are_derivations, "lists of weighted landmarks by name", False),
    ):
        if key not in fields.values and not needed:
            continue
        value = fields._there(key)
        if not right(value):  # type: ignore[no-untyped-call]
            fields.fail(key, f"expected {expected}, got {_short(value)}")
    return fields.made(lambda: Markup.from_dict(fields.values))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_whole(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(map(_is_whole, value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(_are_whole(pair) and len(pair) == 2 for pair in value)


def _are_groups(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_are_whole, value.values()))


def _are_derivations(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(landmarks, list)
        and all(isinstance(terms, list) and all(map(_is_term, terms)) for terms in landmarks)
        for landmarks in value.values()
    )


def _is_term(value: Any) -> bool:
    """An index and a weight."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and _is_whole(value[0])
        and isinstance(value[1], int | float)
        and abs(value[1]) <= _LARGEST
        and math.isfinite(value[1])
    )


def _short(value: Any) -> str:
    text = repr(value) if not _is_whole(value) or abs(value) < 10**20 else "a number of more than 20 digits"
    return text if len(text) <= 60 else f"{text[:57]}…"
