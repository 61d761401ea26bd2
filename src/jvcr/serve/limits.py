"""What a request may cost. Every limit has a status of its own, and its number is in the message."""

from __future__ import annotations

from dataclasses import dataclass, fields

MOST_BOXES = 64
"""Boxes of one request."""

DETECT_SIZES = (64, 2048)
"""Least and greatest ``detect_size`` of a request."""

MOST_VOXELS = 20_000
"""Greatest ``voxels`` of a request."""

LONGEST_NAME = 200
"""Characters of a photo's name."""

LONGEST_FIELD = 65_536
"""Bytes of one field of a form, other than the image; the same as for a query."""


@dataclass(frozen=True)
class Limits:
    """Limits that the command line sets.

    Attributes:
        body_bytes: of one request's body (413).
        pixels: width × height of a photo (422).
        waiting: requests whose bodies are complete and that have no answer yet (503).
        held_bytes: bodies in memory, of all requests together (503).
        time_s: from the complete body to the answer (504).
        body_s: for receiving a body (408).
        header_s: for receiving a request's header; then the connection is closed.
        write_s: for a client to take its answer; then the connection is closed.
        connections: open at a time (503).
    Raises:
        ValueError: a limit is not positive.
    """

    body_bytes: int = 20_000_000
    pixels: int = 40_000_000
    waiting: int = 64
    held_bytes: int = 256_000_000
    time_s: float = 30.0
    body_s: float = 15.0
    header_s: float = 10.0
    write_s: float = 60.0
    connections: int = 512

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise ValueError(f"limit {limit.name} is {getattr(self, limit.name)}; expected more than 0")
