"""What the loop trains: a task brings the network, its data, its losses and its judgement."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from jvcr.images import Image
from jvcr.train.config import Stage
from jvcr.train.vary import Rows


@dataclass(frozen=True)
class Share:
    """The part of a batch that is at hand: on one of several devices, or one of several accumulated parts.

    Attributes:
        mine: its place among the pictures that this device was given.
        rows: its place in the whole batch.
        seed: of this batch's noise.
        weight_sum: divides weighted sums over this part, so that the mean over the parts is that of the batch.
    """

    mine: slice
    rows: Rows
    seed: int
    weight_sum: Tensor
    device: torch.device


class Result(Protocol):
    """What a validation found. ``str(result)`` is a line for people."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; goes into the weights' header."""
        ...

    def to_row(self) -> dict[str, Any]:
        """Columns of ``log.csv``."""
        ...


class Task(Protocol):
    """A network, and how it is trained and judged.

    Attributes:
        config: of the run, with all lengths in samples.
        network: the trainable module; built from ``config.seed``.
        identity: what, beside configuration and data, must be the same for a run to go on; JSON-able.
        start: for people, what was taken from other weights.
    """

    config: Any
    network: nn.Module
    identity: dict[str, Any]
    start: str

    def before_first_step(self) -> None:
        """Called for a new run only: weights may be taken from elsewhere."""
        ...

    def batches(self, first: int, share: slice) -> Iterator[Any]:
        """Batches number ``first``, ``first + 1``, … without end; of each the pictures in ``share``. Each has
        ``weight`` (pictures,), what a picture counts in sums."""
        ...

    def losses(self, network: nn.Module, batch: Any, share: Share, stage: Stage) -> dict[str, Tensor]:
        """Scalars, through ``network`` (which may be wrapped by a strategy or compiled); the first is minimised."""
        ...

    def validate(self, network: nn.Module, dtype: torch.dtype | None) -> Result:
        """With autocast to ``dtype``."""
        ...

    def sheet(self, network: nn.Module, pictures: int) -> Image:
        """So many validation pictures with what the network sees in them."""
        ...

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        """Write weights that describe themselves."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """Checksums of the training data, by part: ``labels`` and ``images``. A run is only resumed on the same."""
        ...


def pixel_digest(images: Iterable[Image]) -> str:
    """A checksum of (H, W, 3) pictures, in their order."""
    total = 0
    for image in images:
        total = zlib.crc32(np.ascontiguousarray(image).data, zlib.crc32(repr(image.shape).encode(), total))
    return f"{total:08x}"
