"""Photos by path, folder and glob."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jvcr.images import IMAGE_ENDINGS


class FoundPhotos(NamedTuple):
    """The photos, each once, in order; and one line for each argument that matched nothing, with the reason."""

    paths: list[Path]
    problems: list[str]


def find_photos(arguments: Iterable[str]) -> FoundPhotos:
    """Expand paths, folders (not recursively) and globs."""
    found: dict[Path, None] = {}
    problems: list[str] = []
    for argument in arguments:
        matches: list[Path] = []
        reason = "no such file"
        try:
            path = Path(argument)
            if path.is_dir():
                matches = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())
                reason = f"the folder holds no image ({', '.join(sorted(IMAGE_ENDINGS))})"
            elif path.exists():
                matches = [path]
            else:
                globbed = sorted(Path(match) for match in glob.glob(argument, recursive=True))  # noqa: PTH207 - absolute too
                matches = [match for match in globbed if match.is_file()]
        except OSError as error:
            reason = error.strerror or str(error)
        if not matches:
            problems.append(f"{argument}: {reason}")
        found |= dict.fromkeys(matches)
    return FoundPhotos(list(found), problems)
