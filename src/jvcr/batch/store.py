"""Where results go: a folder, or a URL that fsspec opens. Files appear there whole or not at all."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Any

from jvcr.extras import missing
from jvcr.files import write_bytes

_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "hf", "oss", "memory"})
"""Protocols whose uploads appear whole. Elsewhere a file is written under another name and moved."""


def is_url(place: str) -> bool:
    """Whether fsspec is to open it."""
    return "://" in place


def open_url(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it.

    Raises:
        MissingExtra: fsspec, or the package of this protocol, is not installed. ValueError: an unknown protocol.
    """
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise missing("batch", error) from error
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        raise ValueError(f"{url}: fsspec cannot open it ({error}); install the package that it names") from error
    except ValueError as error:
        raise ValueError(f"{url}: fsspec cannot open it ({error}); expected a URL such as s3://bucket/folder") from None
    return system, path


class Store:
    """A folder of results.

    Args:
        place: a folder, or a URL.
    """

    def __init__(self, place: str) -> None:
        self.place = place if is_url(place) else str(Path(place).absolute())
        self._system: Any = None
        self._root = self.place
        if is_url(place):
            self._system, self._root = open_url(place)

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None for a URL."""
        return Path(self._root) if self._system is None else None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole: it is uploaded at once, or written beside its place and renamed.

        Raises:
            OSError: it cannot be written; the message names it.
        """
        if self._system is None:
            path = Path(self._root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, data)
            return
        target = f"{self._root.rstrip('/')}/{name}"
        protocols = self._system.protocol
        atomic = not _ATOMIC.isdisjoint((protocols,) if isinstance(protocols, str) else protocols)
        try:
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            if atomic:
                self._system.pipe_file(target, data)
                return
            part = f"{target}.{secrets.token_hex(6)}.part"
            self._system.pipe_file(part, data)
            self._system.mv(part, target)
        except OSError as error:
            raise OSError(error.errno, f"{self.name_of(name)}: cannot be written ({error})") from error

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        if self._system is None:
            return Path(self._root, name).read_bytes()
        data: bytes = self._system.cat_file(f"{self._root.rstrip('/')}/{name}")
        return data

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder of it, sorted; [] if it is missing. Unfinished ones are left out."""
        if self._system is None:
            path = Path(self._root, folder)
            found = [entry.name for entry in path.iterdir() if entry.is_file()] if path.is_dir() else []
        else:
            try:
                # Other processes write there: no listing of earlier is good enough.
                self._system.invalidate_cache()
                listed = self._system.ls(f"{self._root.rstrip('/')}/{folder}", detail=True)
            except FileNotFoundError:
                return []
            found = [entry["name"].rpartition("/")[2] for entry in listed if entry["type"] == "file"]
        return sorted(name for name in found if name and not name.startswith(".") and not name.endswith(".part"))

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        if self._system is None:
            return Path(self._root, name).is_file()
        self._system.invalidate_cache()
        return bool(self._system.isfile(f"{self._root.rstrip('/')}/{name}"))

    def remove(self, name: str) -> None:
        """Delete a file, if it exists."""
        if self._system is None:
            Path(self._root, name).unlink(missing_ok=True)
        elif self.has(name):
            self._system.rm_file(f"{self._root.rstrip('/')}/{name}")

    def name_of(self, name: str) -> str:
        """The whole name of a file, for messages."""
        return f"{self.place.rstrip('/')}/{name}"


def sha256(data: bytes) -> str:
    """The checksum that plans and shards are listed with, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
