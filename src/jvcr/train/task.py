"""Interface between the training loop and a task: network, data, losses and validation."""

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
    """Part of a batch: the share of one device, or of one accumulation step.

    Attributes:
        mine: position among the pictures of this device.
        rows: position in the whole batch.
        seed: seed of the batch's noise.
        weight_sum: divisor of weighted sums over this part, so that the mean over parts equals the mean of the batch.
    """

    mine: slice
    rows: Rows
    seed: int
    weight_sum: Tensor
    device: torch.device


class Result(Protocol):
    """Result of a validation. ``str(result)`` is one readable line."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; stored in the header of the weights."""
        ...

    def to_row(self) -> dict[str, Any]:
        """Columns of ``log.csv``."""
        ...


class Task(Protocol):
    """A network, and how it is trained and validated.

    Attributes:
        config: settings of the run, with all lengths in samples.
        network: the trainable module; built from ``config.seed``.
        identity: what must be equal to resume a run, in addition to configuration and data; JSON-serialisable.
        start: readable summary of what was taken from other weights.
    """

    config: Any
    network: nn.Module
    identity: dict[str, Any]
    start: str

    def before_first_step(self) -> None:
        """Called for new runs only, to load initial weights."""
        ...

    def batches(self, first: int, share: slice) -> Iterator[Any]:
        """Endless batches number ``first``, ``first + 1``, …, restricted to the pictures in ``share``. Each has
        ``weight`` (pictures,), the weight of a picture in sums."""
        ...

    def losses(self, network: nn.Module, batch: Any, share: Share, stage: Stage) -> dict[str, Tensor]:
        """Scalars, through ``network`` (which may be wrapped by a strategy or compiled); the first is minimised."""
        ...

    def validate(self, network: nn.Module, dtype: torch.dtype | None) -> Result:
        """Validate, with autocast to ``dtype``."""
        ...

    def sheet(self, network: nn.Module, pictures: int) -> Image:
        """This number of validation pictures with the network's predictions."""
        ...

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        """Write weights with their description."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """Checksums of the training data, by part: ``labels`` and ``images``. They must be equal to resume a run."""
        ...


def pixel_digest(images: Iterable[Image]) -> str:
    """A checksum of (H, W, 3) pictures, in order."""
    total = 0
    for image in images:
        total = zlib.crc32(np.ascontiguousarray(image).data, zlib.crc32(repr(image.shape).encode(), total))
    return f"{total:08x}"
