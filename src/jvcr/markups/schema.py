"""The shape of a markup file: its keys, and what kind of value each takes.

Which landmarks names and numbers stand for, and whether all of it fits together, is ``jvcr.markups.file``'s.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from jvcr.suggest import did_you_mean


def _landmark(value: Any) -> Any:
    if type(value) not in (int, str):
        raise PydanticCustomError("landmark", "the name or number of a landmark")
    return value


def _terms(value: Any) -> Any:
    """A landmark, a list of landmarks, or a table landmark → weight."""
    if isinstance(value, dict):
        for name, weight in value.items():
            if type(weight) not in (int, float):
                got = {"name": repr(name), "weight": repr(weight)}
                raise PydanticCustomError("weight", "the weight of {name} is {weight}; expected a number", got)
        return value
    for item in value if isinstance(value, list) else [value]:
        _landmark(item)
    return value


Landmark = Annotated[Any, AfterValidator(_landmark)]
Pair = Annotated[list[Landmark], Field(min_length=2, max_length=2)]
Terms = Annotated[Any, AfterValidator(_terms)]
Name = Annotated[str, Field(pattern=r"\D")]
"""A name of digits alone would look like a number in a table key."""


MOST_POINTS = 100_000
"""Largest number of landmarks; a larger one is a mistake and would exhaust memory."""


class MarkupFile(BaseModel):
    """The keys of a markup file, as ``tomllib`` reads them (docs/markup.md)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1)]
    names: Annotated[list[Name], Field(min_length=1)] | None = None
    n_points: Annotated[int, Field(ge=2, le=MOST_POINTS)] | None = None
    normaliser: Pair
    mirror: list[Pair]
    groups: dict[str, Annotated[list[Landmark], Field(min_length=1)]] = {}
    closed: list[str] = []
    edges: list[Pair] | None = None
    gaps: list[Pair] = []
    from_: Annotated[dict[str, dict[str, Terms] | list[Terms]], Field(alias="from")] = {}

    @field_validator("groups", mode="before")
    @classmethod
    def _no_keys_of_the_file(cls, groups: Any) -> Any:
        for name in groups if isinstance(groups, dict) else ():
            if name in KEYS:
                message = "{name} stands below [groups] and so belongs to it; move it above the first [table]"
                raise PydanticCustomError("belongs", message, {"name": name})
        return groups


KEYS = tuple(field.alias or name for name, field in MarkupFile.model_fields.items())

_NEEDED = {
    "name": "a text",
    "mirror": "pairs of landmarks that change places in the mirror image; [] where none does",
    "normaliser": "the two landmarks whose distance is the unit",
}

_EXPECTED = {
    "string_type": "a text",
    "string_too_short": "a text",
    "string_pattern_mismatch": "a text that is not a number",
    "int_type": "a whole number from 2 on",
    "greater_than_equal": "a whole number from 2 on",
    "less_than_equal": f"at most {MOST_POINTS:,}",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def check(where: str, values: dict[str, Any]) -> None:
    """Raise ValueError, with the place and what was expected there, unless a file has the shape of a markup file."""
    try:
        MarkupFile.model_validate(values)
    except ValidationError as error:
        # Where several kinds of value would do, each gives an error: the deepest is of the kind that was meant.
        details = max(error.errors(include_url=False), key=lambda e: len(_place(values, e["loc"])))
        raise ValueError(f"{where}: {_text(values, details)}") from None


def _place(values: Any, loc: tuple[str | int, ...]) -> list[str | int]:
    """The keys and numbers that lead to a value; pydantic's own labels, of kinds it tried, are left out."""
    place: list[str | int] = []
    for part in loc:
        if (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int)):
            values = values[part]  # type: ignore[index]
            place.append(part)
    return place


def _text(values: dict[str, Any], error: ErrorDetails) -> str:
    """One error as ``place: what was expected, what came``."""
    kind, place, given = error["type"], _place(values, error["loc"]), error["input"]
    if kind == "missing":
        key = str(error["loc"][-1])
        return f"{key}: is missing; expected {_NEEDED[key]}"
    if kind == "extra_forbidden":
        key = str(place[0])
        return f"{key}: unknown key{did_you_mean(key, KEYS)}; expected {', '.join(KEYS)}"
    if kind == "belongs":
        return f"groups.{error['ctx']['name']}: {error['msg']}"
    at = str(place[0]) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place[1:])
    of_two = place[0] == "normaliser" or (place[0] in ("mirror", "edges", "gaps") and len(place) > 1)
    if kind == "weight":
        return f"{at}: {error['msg']}"
    if kind in ("too_short", "too_long"):
        if of_two:
            return f"{at}: expected two landmarks, got {len(given)}: {given!r}"
        return f"{at}: is empty" + ("; expected one name per landmark, or n_points instead" if at == "names" else "")
    if kind == "list_type" and of_two:
        return f"{at}: expected a list of two landmarks, got {given!r}"
    expected = error["msg"] if kind == "landmark" else _EXPECTED.get(kind, error["msg"])
    return f"{at}: expected {expected}, got {given!r}"
