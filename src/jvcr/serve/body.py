"""Bodies of requests: read into memory, within limits of size, time and memory of all together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from jvcr.serve.limits import Limits
from jvcr.serve.refused import Refused

GONE = 499
"""Status of a request whose client went away; nobody sees it but the metrics."""


class Bodies:
    """The bodies that are in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held_bytes = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body. It counts as held until the context ends.

        Raises:
            Refused: 400: empty or a wrong length; 408: too slow; 413: over the limit, from the header or while
                reading, which then stops; 503: all bodies together take too much memory; 499: the client is gone.
        """
        self._check_length(request)
        received = bytearray()
        try:
            await self._receive(request, received)
            yield bytes(received)
        finally:
            self.held_bytes -= len(received)

    async def _receive(self, request: Request, received: bytearray) -> None:
        try:
            async with asyncio.timeout(self._limits.body_s):
                async for chunk in request.stream():
                    self.held_bytes += len(chunk)
                    received += chunk
                    self._check(len(received))
        except TimeoutError:
            raise Refused(408, f"the body took longer than {self._limits.body_s:g} s to arrive, the limit") from None
        except ClientDisconnect:
            raise Refused(GONE, "the client is gone") from None
        if not received:
            raise Refused(400, "the body is empty; expected an image, or a form with one")

    def _check_length(self, request: Request) -> None:
        declared = request.headers.get("content-length")
        if declared is not None and declared.isascii() and declared.isdigit():
            self._check_size(int(declared))

    def _check(self, size: int) -> None:
        self._check_size(size)
        if self.held_bytes > self._limits.held_bytes:
            raise Refused(503, f"requests hold {self._limits.held_bytes:,} bytes in memory, the limit; try again", 1)

    def _check_size(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise Refused(
                413, f"the body is larger than {self._limits.body_bytes:,} bytes, the limit; send a smaller image"
            )
