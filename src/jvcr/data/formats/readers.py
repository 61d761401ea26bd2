"""Every data set format by name, and one function that reads any of them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jvcr.data.formats.aflw2000 import read_aflw2000
from jvcr.data.formats.authors_json import read_authors_json
from jvcr.data.formats.coco import read_coco
from jvcr.data.formats.pts import read_pts_folder
from jvcr.data.formats.rows import read_csv_table, read_npz_table
from jvcr.data.formats.threedfaw import read_3dfaw
from jvcr.data.formats.w300lp import read_300w_lp
from jvcr.data.reading import Samples
from jvcr.data.table import read_table
from jvcr.markups.file import markup_from
from jvcr.markups.markup import Markup
from jvcr.suggest import did_you_mean

READERS: dict[str, Callable[..., Samples]] = {
    "aflw2000-3d": read_aflw2000,
    "300w-lp": read_300w_lp,
    "3dfaw": read_3dfaw,
    "authors-json": read_authors_json,
    "pts": read_pts_folder,
    "coco": read_coco,
    "csv": read_csv_table,
    "npz": read_npz_table,
    "table": read_table,
}
"""Format → reader: a function of the data set's root and keyword options."""


def read_samples(format: str, root: Path, **options: Any) -> Samples:
    """The samples of a data set, in a fixed order, read lazily.

    An unreadable sample raises its error, and iteration can continue with the next one (``reading.Samples``).

    Args:
        format: a key of ``READERS``.
        root: folder of the data set; for some formats, its file.
        options: options of the reader. Strings are converted to the option's type: ``base="1"`` becomes ``base=1.0``, a
            markup is the name of a built-in one or the path of its file (docs/markup.md), a file is a path.
    Raises:
        ValueError: unknown format or option (the message suggests one), or an invalid value.
        FileNotFoundError: the data set does not exist.
        ValueError, ImageError: raised by the reader.
    """
    if format not in READERS:
        raise ValueError(f"format {format!r} is unknown{did_you_mean(format, READERS)}; expected {', '.join(READERS)}")
    reader = READERS[format]
    expected = _options(reader)
    for name in options:
        if name not in expected:
            raise ValueError(
                f"option {name!r} of format {format} is unknown{did_you_mean(name, expected)}; "
                f"expected {', '.join(expected)}"
            )
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such file or folder")
    return reader(root, **{name: _value(name, value, expected[name]) for name, value in options.items()})


def _options(reader: Callable[..., Samples]) -> dict[str, Any]:
    """Name → type of a reader's options (all parameters after root)."""
    hints = typing.get_type_hints(reader)
    return {name: hints[name] for name in list(inspect.signature(reader).parameters)[1:]}


def _value(name: str, value: Any, kind: Any) -> Any:
    """Convert a string to the option's type; anything else is returned unchanged."""
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ValueError(
                f"option {name}={value!r}: unknown{did_you_mean(str(value), choices)}; expected {', '.join(choices)}"
            )
        return value
    if not isinstance(value, str):
        return value
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() not in words:
            raise ValueError(f"option {name}={value!r}: expected true or false")
        return words[value.lower()]
    if kind is float:
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"option {name}={value!r}: expected a number") from None
    if kind is Path:
        return Path(value)
    if kind is Markup:
        return markup_from(value)
    return value
