"""Settings from a TOML file and a preset: the file overrides any field of ``TrainConfig`` or ``DetectConfig``.

preset = "small"
batch_size = 64

[augmentation]
rotation_deg = 40.0

[[stages]]                # replaces all stages of the preset
name = "end to end"
samples = 100_000
lr = 1e-3
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jvcr.files import MALFORMED
from jvcr.suggest import nearest
from jvcr.train.config import RunConfig, Stage

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_Config = TypeVar("_Config", bound=RunConfig)


def settings_of(
    recipes: Mapping[str, _Config], path: Path | None, preset: str | None = None, default: str = "small"
) -> _Config:
    """The preset ``preset``, otherwise the one in the file, otherwise ``default``; with the file's changes.

    Args:
        recipes: the known presets.
        path: a TOML file, or None for an unchanged preset.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown preset, a file that is not TOML, an unknown key (with a suggestion), or a wrong type.
    """
    if path is None:
        return recipe(recipes, preset or default)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such settings file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except MALFORMED as error:
        raise ValueError(f"{path}: not a TOML file ({error})") from error
    named = values.pop("preset", default)
    try:
        return changed(recipe(recipes, preset or named), values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def recipe(recipes: Mapping[str, _Config], name: str) -> _Config:
    """The preset of this name; ValueError with a suggestion for an unknown one."""
    if not isinstance(name, str) or name not in recipes:
        raise ValueError(f"preset {name!r} is unknown{_suggestion(str(name), recipes)}")
    return recipes[name]


def changed(config: _Config, values: dict[str, Any]) -> _Config:
    """The configuration with some fields replaced; nested tables are merged field by field.

    Raises:
        ValueError: an unknown key, or an invalid value.
    """
    # Imported late: presets alone do not need pydantic.
    from pydantic import TypeAdapter, ValidationError

    merged = _merged(config.to_dict(), values, "")
    try:
        # In JSON mode, lists may become tuples, but strings never become numbers.
        return TypeAdapter(type(config)).validate_json(json.dumps(merged, default=str), strict=True)
    except ValidationError as error:
        raise ValueError(_text(error.errors(include_url=False)[0], config.to_dict())) from None


def _merged(old: dict[str, Any], new: dict[str, Any], place: str) -> dict[str, Any]:
    """``old`` updated with ``new``; lists are replaced as a whole."""
    result = dict(old)
    for key, value in new.items():
        _check_known(key, old, place)
        nested = isinstance(old[key], dict) and isinstance(value, dict)
        result[key] = _merged(old[key], value, f"{place}{key}.") if nested else value
    stages = result.get("stages", ()) if "stages" in new else ()
    for number, stage in enumerate(stages if isinstance(stages, list) else ()):
        for key in stage if isinstance(stage, dict) else ():
            _check_known(key, [field.name for field in fields(Stage)], f"stages[{number}].")
    return result


def _check_known(key: str, known: Iterable[str], place: str) -> None:
    if key not in known:
        raise ValueError(f"{place + key!r} is no setting{_suggestion(key, known)}")


_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "dataclass_type": "a table of settings",
}


def _text(error: ErrorDetails, old: Any) -> str:
    """One error as ``place is value; expected …``, with the preset's list as an example.

    Errors raised by the settings themselves already name their place.
    """
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).removeprefix(".")
    if error["type"] == "missing":
        return f"{key!r} is missing"
    if key == "stages":
        return f"'stages' is {error['input']!r}; expected a list of tables: [[stages]]"
    expected = _EXPECTED.get(error["type"], error["msg"])
    if error["type"] == "tuple_type":
        for part in error["loc"]:
            old = old.get(part) if isinstance(old, dict) else None
        expected = f"a list like {json.dumps(old)}" if old else "a list"
    return f"{key!r} is {error['input']!r}; expected {expected}"


def _suggestion(word: str, known: Iterable[str]) -> str:
    known = list(known)
    meant = nearest(word, known)
    return f"; expected one of {', '.join(known)}" if meant is None else f"; did you mean {meant!r}?"
