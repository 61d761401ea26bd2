"""A TOML file on top of a preset: any field of ``TrainConfig`` (or ``DetectConfig``), by its name.

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

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from jvcr.train.config import RunConfig, Stage

_Config = TypeVar("_Config", bound=RunConfig)


def settings_of(
    recipes: Mapping[str, _Config], path: Path | None, preset: str | None = None, default: str = "small"
) -> _Config:
    """The preset ``preset``, or that which the file names, or ``default``; changed as the file says.

    Args:
        recipes: the presets there are.
        path: a TOML file, or None for the preset alone.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown preset; not TOML, an unknown key (with a suggestion), or a value of another type.
    """
    if path is None:
        return recipe(recipes, preset or default)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such settings file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file ({error})") from error
    named = values.pop("preset", default)
    try:
        return changed(recipe(recipes, preset or named), values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def recipe(recipes: Mapping[str, _Config], name: str) -> _Config:
    """The preset of this name; ValueError with a suggestion for an unknown one."""
    if not isinstance(name, str) or name not in recipes:
        raise ValueError(f"preset {name!r} is unknown{_suggestion(str(name), list(recipes))}")
    return recipes[name]


def changed(config: _Config, values: dict[str, Any]) -> _Config:
    """The configuration with some of its fields replaced, nested tables field by field.

    Raises:
        ValueError: an unknown key, or a value that the field cannot hold.
    """
    # Late: presets alone need no package for it.
    import dacite

    merged = _merged(config.to_dict(), values, "")
    try:
        return dacite.from_dict(
            type(config), merged, dacite.Config(strict=True, cast=[tuple], type_hooks={float: _as_float})
        )
    except dacite.DaciteError as error:
        raise ValueError(str(error)) from error
    except TypeError as error:
        raise ValueError(f"a value is of another kind than its setting ({error})") from error


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _merged(old: dict[str, Any], new: dict[str, Any], place: str) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        if key not in old:
            raise ValueError(f"{place + key!r} is no setting{_suggestion(key, list(old))}")
        if key == "stages":
            known = dict.fromkeys(f.name for f in fields(Stage))
            if not isinstance(value, list) or not all(isinstance(stage, dict) for stage in value):
                raise ValueError("'stages' must be a list of tables: [[stages]]")
            for number, stage in enumerate(value):
                _merged(known, stage, f"stages[{number}].")
            result[key] = value
        elif isinstance(old[key], dict):
            if not isinstance(value, dict):
                raise ValueError(f"{place + key!r} is {value!r}; expected a table of settings")
            result[key] = _merged(old[key], value, f"{place}{key}.")
        elif isinstance(old[key], (list, tuple)) and not _is_like(value, old[key]):
            raise ValueError(f"{place + key!r} is {value!r}; expected a list like {_as_lists(old[key])}")
        elif isinstance(value, bool) and isinstance(old[key], (int, float)) and not isinstance(old[key], bool):
            raise ValueError(f"{place + key!r} is {value!r}; expected a number like {old[key]!r}")
        else:
            result[key] = value
    return result


def _is_like(value: Any, old: Any) -> bool:
    """Whether a list may take the place of another: of pairs if that one is."""
    pairs = bool(old) and isinstance(old[0], (list, tuple))
    return isinstance(value, list) and (not pairs or all(isinstance(v, list) and len(v) == 2 for v in value))


def _as_lists(value: Any) -> Any:
    return [_as_lists(v) for v in value] if isinstance(value, (list, tuple)) else value


def _suggestion(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(known)}"
