"""Images in uncompressed tar files: written in shards, located by their headers, decoded at once or on demand."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import overload

import PIL.Image

from jvcr.images import Image, ImageError, decode_image

_PROBED = 256
_DIGESTED = 50_000


@dataclass(frozen=True)
class Member:
    """One file in an uncompressed tar file: its bytes are ``size`` from ``offset`` on."""

    tar: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The encoded bytes. Opens the file on every call, so it is safe in any process or thread.

        Raises:
            ImageError: the tar file is gone, or ends too early.
        """
        try:
            with self.tar.open("rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise ImageError(f"{self}: cannot be read ({error.strerror or error})") from error
        if len(data) < self.size:
            raise ImageError(f"{self}: the tar file ends before this member does; make or copy it again")
        return data

    def decode(self) -> Image:
        """(H, W, 3) uint8 RGB.

        Raises:
            ImageError: damaged, or not an image; tar file and member are named.
        """
        return decode_image(self.read(), str(self))

    def __str__(self) -> str:
        return f"{self.tar}: {self.name}"


def tar_members(path: Path) -> Iterator[Member]:
    """The regular files in a tar file. Only headers are read.

    Raises:
        ValueError: not an uncompressed tar file, or damaged.
    """
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.size < 0:
                    # Some versions of tarfile never finish such a file.
                    raise tarfile.ReadError(f"{member.name} has {member.size} bytes by its header")
                if member.isreg() and not member.issparse():
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError(
                            f"{member.name} has {member.size} bytes by its header, but the tar file ends at {size}"
                        )
                    yield Member(path, member.name, member.offset_data, member.size)
    # OSError, ValueError: a size by which the next header lies before the beginning, or beyond all files.
    except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError) as error:
        raise ValueError(
            f"{path}: not an uncompressed tar file, or damaged ({error}); make or copy it again"
        ) from error


def find_members(folder: Path, names: list[str]) -> list[Member]:
    """The members named ``names`` (without file ending) in all tar files of a folder, in the order of ``names``.

    Raises:
        FileNotFoundError: a name is in no tar file.
        ValueError: a name occurs twice.
    """
    wanted = set(names)
    found: dict[str, Member] = {}
    for path in sorted(folder.glob("*.tar")):
        for member in tar_members(path):
            name = Path(member.name).stem
            if name in wanted:
                if name in found:
                    raise ValueError(f"{path}: {name} is also in {found[name].tar}; names must be unique")
                found[name] = member
    missing = [name for name in names if name not in found]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]} is in no *.tar of {folder}; {len(missing)} of {len(names)} images are missing"
        )
    return [found[name] for name in names]


def digest(members: Sequence[Member]) -> str:
    """A checksum of encoded images, in order: all sizes, and the bytes of up to 50,000 evenly spaced members.

    Raises:
        ImageError: a member cannot be read.
    """
    total = zlib.crc32(repr([member.size for member in members]).encode())
    count = min(_DIGESTED, len(members))
    for k in range(count):
        total = zlib.crc32(members[k * len(members) // count].read(), total)
    return f"{total:08x}"


def without_damaged(members: Sequence[Member], left_out: list[str]) -> list[int]:
    """The places of the members that can be decoded. A line with name and reason is appended for each other one."""

    def reason(member: Member) -> str:
        try:
            member.decode()
        except ImageError as error:
            return f"{Path(member.name).stem} ({error})"
        return ""

    with ThreadPoolExecutor() as pool:
        reasons = list(pool.map(reason, members))
    left_out += filter(None, reasons)
    return [place for place, text in enumerate(reasons) if not text]


def decode_all(members: Sequence[Member]) -> list[Image]:
    """Decoded, in order.

    Raises:
        ImageError: a member is not an image.
    """
    with ThreadPoolExecutor() as pool:
        return list(pool.map(Member.decode, members))


class OnDemand(Sequence[Image]):
    """Images that are decoded on every access. Keeps no file open, so it can be pickled and forked."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> OnDemand: ...
    def __getitem__(self, index: int | slice) -> Image | OnDemand:
        if isinstance(index, slice):
            return OnDemand(self._members[index])
        return self._members[index].decode()


def decoded_bytes(members: Sequence[Member]) -> float:
    """Estimated size of the decoded images, 3 bytes per pixel, from at most 256 evenly spaced headers."""
    probed = [members[k * len(members) // min(_PROBED, len(members))] for k in range(min(_PROBED, len(members)))]
    return sum(map(_pixels, probed)) * 3.0 * len(members) / max(1, len(probed))


def _pixels(member: Member) -> int:
    try:
        with PIL.Image.open(io.BytesIO(member.read())) as image:
            return image.width * image.height
    except Exception:  # a damaged image is reported when it is decoded
        return 0


def images_of(members: Sequence[Member], memory_gb: float) -> Sequence[Image]:
    """Decode all images now if they fit into ``memory_gb`` (10⁹ bytes), otherwise each on access.

    Raises:
        ImageError: a member is not an image. On demand, it is raised on access.
    """
    return decode_all(members) if decoded_bytes(members) <= memory_gb * 1e9 else OnDemand(members)


class TarShards:
    """Writes uncompressed tar files ``images-0000.tar``, …; a new one starts when the last is full."""

    def __init__(self, folder: Path, shard_mb: float) -> None:
        self._folder, self._limit = folder, shard_mb * 1e6
        self._archive: tarfile.TarFile | None = None
        self._bytes = self.total_bytes = self.count = 0

    def __enter__(self) -> TarShards:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def add(self, name: str, data: bytes) -> None:
        """Append a member. A file exceeds the limit only if it has a single member."""
        if self._archive is None or (self._bytes and self._bytes + len(data) > self._limit):
            self._close()
            self._archive = tarfile.open(self._folder / f"images-{self.count:04}.tar", "x:")  # noqa: SIM115
            self.count, self._bytes = self.count + 1, 0
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._archive.addfile(member, io.BytesIO(data))
        self._bytes += len(data)
        self.total_bytes += len(data)

    def _close(self) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None
