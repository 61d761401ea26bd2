"""Markup files: a ``Markup`` as TOML, written by hand. The format is described in docs/markup.md.

``jvcr.markups.schema`` checks the keys and kinds of values of files of one's own; what they mean is resolved here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from jvcr.files import MALFORMED, open_regular, write_text
from jvcr.markups.markup import MARKUP_66, MARKUP_68, Derivation, Markup, Terms
from jvcr.suggest import did_you_mean, nearest

BUILT_IN = ("68", "66", "71", "21", "200")
"""Names accepted instead of a markup file; the markups' own names are accepted too."""

_IN_CODE = {"68": MARKUP_68, "66": MARKUP_66}
_SHIPPED = {"71": "jvcr-71", "21": "aflw-like-21", "200": "synthetic-200"}

_MOST_DIGITS = 18
"""Of a landmark's number that is written as text. Python refuses to convert thousands of them."""

_LARGEST_WEIGHT = 1e6


def markup_from(name_or_path: str | Path) -> Markup:
    """A built-in markup by name, or the one of a file.

    Args:
        name_or_path: one of ``BUILT_IN``, the own name of one (``"ibug-68"``), or the path of a markup file.
    Raises:
        FileNotFoundError: neither.
        ValueError: as ``read_markup``.
    """
    found = built_in(str(name_or_path)) if isinstance(name_or_path, str) else None
    if found is not None:
        return found
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        name = str(name_or_path)
        raise FileNotFoundError(
            f"markup {name!r} is unknown{did_you_mean(name, [*BUILT_IN, *OWN_NAMES])}; expected one of "
            f"{', '.join(BUILT_IN)} or a markup file (docs/markup.md)"
        )
    return read_markup(path)


OWN_NAMES = (*(markup.name for markup in _IN_CODE.values()), *_SHIPPED.values())
"""The built-in markups' own names."""


def built_in(name: str) -> Markup | None:
    """The built-in markup of one of ``BUILT_IN`` or ``OWN_NAMES``; None for any other name."""
    for short, markup in _IN_CODE.items():
        if name in (short, markup.name):
            return markup
    for short, own in _SHIPPED.items():
        if name in (short, own):
            text = resources.files("jvcr").joinpath("markups", f"{own}.toml").read_text(encoding="utf-8")
            return _Resolver(f"built-in markup {own}", tomllib.loads(text)).markup()
    return None


def read_markup(path: Path) -> Markup:
    """The markup of a TOML file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a mistake in it; the message names the file and the key.
    """
    try:
        with open_regular(path) as file:
            text = file.read().decode()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such markup file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    try:
        values = tomllib.loads(text)
    except MALFORMED as error:
        raise ValueError(f"{path}: is not TOML: {error}; the format is described in docs/markup.md") from None
    # Late: built-in markups do not need it.
    from jvcr.markups.schema import check

    check(str(path), values)
    return _Resolver(str(path), values).markup()


def write_markup(path: Path, markup: Markup, comment: str = "") -> None:
    """Write a file from which ``read_markup`` makes the same markup; ``comment`` goes on top."""
    names = markup.labels if markup.names else range(markup.n_points)

    def pairs(of: Iterable[Iterable[int]]) -> str:
        return _array(f"[{', '.join(_value(names[i]) for i in pair)}]" for pair in of)

    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [f"name = {_value(markup.name)}"]
    lines += [f"names = {_array(map(_value, names))}" if markup.names else f"n_points = {markup.n_points}"]
    lines += [f"normaliser = {_array(_value(names[i]) for i in markup.normaliser)}"]
    lines += [f"mirror = {pairs((i, partner) for i, partner in enumerate(markup.mirror) if i < partner)}"]
    if markup.closed:
        lines += [f"closed = {_array(map(_value, sorted(markup.closed)))}"]
    if markup.lines is not None:
        lines += [f"edges = {pairs(markup.lines)}"]
    if markup.gaps:
        lines += [f"gaps = {pairs(markup.gaps)}"]
    if markup.groups:
        lines += ["", "[groups]"]
        for group, members in markup.groups.items():
            lines += [f"{_key(group)} = {_array(_value(names[i]) for i in members)}"]
    for source, derivation in markup.derivations.items():
        lines += ["", f"[from.{_key(source)}]"]
        lines += [
            f"{_key(label)} = {_sum(terms)}" for label, terms in zip(markup.labels, derivation.terms, strict=True)
        ]
    write_text(path, "\n".join(lines) + "\n")


def _sum(terms: Terms) -> str:
    weights = {weight for _, weight in terms}
    if weights == {1.0}:
        return str(terms[0][0])
    if weights == {1 / len(terms)}:
        return f"[{', '.join(str(index) for index, _ in terms)}]"
    return f"{{ {', '.join(f'{index} = {weight!r}' for index, weight in terms)} }}"


def _value(value: str | int) -> str:
    # JSON's strings are TOML's, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _value(text)


def _array(items: Iterable[str], width: int = 100) -> str:
    items = list(items)
    if sum(map(len, items)) + 2 * len(items) <= width:
        return f"[{', '.join(items)}]"
    rows, row = [], ""
    for item in items:
        if row and len(row) + len(item) + 2 > width:
            rows.append(row)
            row = ""
        row += f"{' ' if row else ''}{item},"
    return "[\n" + "\n".join(f"  {row}" for row in [*rows, row]) + "\n]"


def _misspelt(name: str) -> str | None:
    """The built-in markup with a similar name: the same except for punctuation and case, or with the
    same digits and most letters.

    Names of other digits are other markups: a ``synthetic-300`` may well be somebody's own.
    """

    def digits(text: str) -> str:
        return re.sub(r"\D+", "", text)

    return nearest(name, [own for own in OWN_NAMES if digits(own) == digits(name)], cutoff=0.8)


class _Resolver:
    """A file's values, of the right shape → a markup: names become numbers, and all of it must fit together.

    Raises ValueError; the message names the file and the key.
    """

    def __init__(self, where: str, values: dict[str, Any]) -> None:
        self.where, self.values = where, values
        self.names = self.read_names()
        self.n_points = self.read_n_points()

    def fail(self, key: str, message: str) -> NoReturn:
        raise ValueError(f"{self.where}: {key}: {message}")

    def markup(self) -> Markup:
        values, mirror, groups = self.values, self.read_mirror(), self.read_groups()
        return Markup(
            name=values["name"],
            n_points=self.n_points,
            mirror=mirror,
            groups=groups,
            closed=self.read_closed(groups),
            normaliser=self.pair(values["normaliser"], "normaliser"),
            names=self.names,
            lines=self.pairs("edges") if "edges" in values else None,
            derivations=self.read_derivations(mirror),
            gaps=self.pairs("gaps"),
        )

    def read_names(self) -> tuple[str, ...]:
        names = tuple(self.values.get("names", ()))
        for index, name in enumerate(names):
            if name in names[:index]:
                self.fail(f"names[{index}]", f"{name!r} is the name of landmark {names.index(name)} already")
        return names

    def read_n_points(self) -> int:
        count = int(self.values.get("n_points", len(self.names)))
        if not count:
            self.fail("n_points", "is missing, and so is names; expected one of them")
        if self.names and count != len(self.names):
            self.fail("n_points", f"is {count}, but names has {len(self.names)}")
        return count

    def landmark(self, value: str | int, key: str) -> int:
        return self.index(value, key, self.names, self.n_points)

    def index(self, value: str | int, key: str, names: Sequence[str], count: int | None) -> int:
        """A name or number → number; ``count`` is None where it is not known."""
        if isinstance(value, str) and value not in names and value.isdecimal() and len(value) <= _MOST_DIGITS:
            value = int(value)
        if isinstance(value, str):
            if value not in names:
                if not names:
                    self.fail(key, f"landmark {value!r} is named, but its markup has no names; give its number, from 0")
                self.fail(key, f"no landmark is named {value!r}{did_you_mean(value, names)}")
            return names.index(value)
        if value < 0 or (count is not None and value >= count):
            self.fail(
                key, f"landmark {value} is out of range; numbers go from 0 to {'…' if count is None else count - 1}"
            )
        return value

    def pair(self, value: list[str | int], key: str) -> tuple[int, int]:
        first, second = (self.landmark(item, key) for item in value)
        if first == second:
            self.fail(key, f"expected two different landmarks, got {self.label(first)} twice")
        return first, second

    def pairs(self, key: str) -> tuple[tuple[int, int], ...]:
        return tuple(self.pair(pair, f"{key}[{number}]") for number, pair in enumerate(self.values.get(key, ())))

    def label(self, index: int) -> str:
        return repr(self.names[index]) if self.names else str(index)

    def read_mirror(self) -> tuple[int, ...]:
        partner = list(range(self.n_points))
        given_in: dict[int, int] = {}
        for number, pair in enumerate(self.pairs("mirror")):
            for index in pair:
                if index in given_in:
                    self.fail(
                        f"mirror[{number}]", f"landmark {self.label(index)} is in mirror[{given_in[index]}] already"
                    )
                given_in[index] = number
            partner[pair[0]], partner[pair[1]] = pair[1], pair[0]
        return tuple(partner)

    def read_groups(self) -> dict[str, tuple[int, ...]]:
        groups = {}
        for name, members in self.values.get("groups", {}).items():
            found = tuple(self.landmark(item, f"groups.{name}") for item in members)
            for place, index in enumerate(found):
                if index in found[:place]:
                    self.fail(
                        f"groups.{name}", f"landmark {self.label(index)} is in it twice (for an outline, use closed)"
                    )
            groups[name] = found
        return groups

    def read_closed(self, groups: Mapping[str, Any]) -> frozenset[str]:
        names = self.values.get("closed", ())
        for name in names:
            if name not in groups:
                self.fail("closed", f"no group is named {name!r}{did_you_mean(name, groups)}")
        return frozenset(names)

    def read_derivations(self, mirror: tuple[int, ...]) -> dict[str, Derivation]:
        derivations = {}
        for given_name, values in self.values.get("from", {}).items():
            key = f"from.{given_name}"
            known = built_in(given_name)
            meant = _misspelt(given_name) if known is None else None
            if meant is not None:
                self.fail(key, f"no built-in markup has this name (did you mean {meant!r}?)")
            source = given_name if known is None else known.name
            if source == self.values["name"] or source in derivations:
                self.fail(key, "a markup is not made from itself, nor in two ways from one")
            derivations[source] = Derivation(self.read_sums(values, key, known))
            if known is not None:
                self.check_mirrored(derivations[source], key, mirror, known)
        return derivations

    def read_sums(self, values: Any, key: str, source: Markup | None) -> tuple[Terms, ...]:
        if isinstance(values, list):
            if len(values) != self.n_points:
                self.fail(key, f"has {len(values)} entries; expected {self.n_points}, one a landmark")
            return tuple(self.terms(value, f"{key}[{index}]", source) for index, value in enumerate(values))
        found: dict[int, Terms] = {}
        for label, value in values.items():
            index = self.landmark(label, f"{key}.{label}")
            if index in found:
                self.fail(f"{key}.{label}", f"landmark {self.label(index)} is given twice")
            found[index] = self.terms(value, f"{key}.{label}", source)
        missing = [self.label(index) for index in range(self.n_points) if index not in found]
        if missing:
            self.fail(key, f"{len(missing)} of {self.n_points} landmarks are missing, e.g. {missing[0]}")
        return tuple(found[index] for index in range(self.n_points))

    def terms(self, value: Any, key: str, source: Markup | None) -> Terms:
        """A landmark, a list of them (their mean), or a table landmark → weight."""
        if isinstance(value, list):
            weighted = [(item, 1 / len(value)) for item in value]
        elif isinstance(value, dict):
            weighted = list(value.items())
        else:
            weighted = [(value, 1.0)]
        if not weighted:
            self.fail(key, "is empty; expected at least one landmark")
        names, count = (source.names, source.n_points) if source else ((), None)
        terms: list[tuple[int, float]] = []
        for item, weight in weighted:
            index = self.index(item, key, names, count)
            if index in (other for other, _ in terms):
                self.fail(key, f"landmark {index} is in it twice")
            # Also no int that is too large for a float.
            if not abs(weight) < _LARGEST_WEIGHT:
                self.fail(key, f"the weight of landmark {index} is not a number below {_LARGEST_WEIGHT:g}")
            terms.append((index, float(weight)))
        total = sum(weight for _, weight in terms)
        if not abs(total - 1) < 1e-3:
            self.fail(key, f"the weights sum to {total:g}; expected 1, so that the point moves with the face")
        # Thirds written as 0.333 are meant to be thirds.
        return tuple(terms) if abs(total - 1) < 1e-9 else tuple((index, weight / total) for index, weight in terms)

    def check_mirrored(self, derivation: Derivation, key: str, mirror: tuple[int, ...], source: Markup) -> None:
        """A landmark's mirror partner must come from the mirror partners of what it comes from."""
        for index, partner in enumerate(mirror):
            expected = {source.mirror[i]: weight for i, weight in derivation.terms[index]}
            found = dict(derivation.terms[partner])
            if expected.keys() != found.keys() or any(abs(expected[i] - found[i]) > 1e-6 for i in found):
                self.fail(
                    key,
                    f"landmark {self.label(index)} comes from {sorted(dict(derivation.terms[index]))}, whose mirror "
                    f"images are {sorted(expected)}; but its mirror partner {self.label(partner)} comes from "
                    f"{sorted(found)}. Correct mirror or [from.{source.name}]",
                )
