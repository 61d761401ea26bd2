"""Open a data set by the name of its format, for ``check``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from jvcr.data.doctor.entries import SampleSource, Source, TableSource
from jvcr.data.formats import readers
from jvcr.data.sample import Sample


def open_source(format_: str, root: Path, incomplete: bool = False, options: Mapping[str, str] | None = None) -> Source:
    """The data set in a folder. A training table is read tolerantly; other formats by their reader, with its options.

    Raises:
        ValueError: an unknown format.
    """
    if format_ == "table":
        return TableSource(root, incomplete)
    if format_ not in readers.READERS:
        known = ", ".join(sorted({"table", *readers.READERS}))
        raise ValueError(f"format {format_!r} is unknown; expected one of {known}")

    def samples() -> Iterable[Sample]:
        return readers.read_samples(format_, root, **(options or {}))

    return SampleSource({"": samples}, title=f"{format_} {root}")
