"""Connections with limits of time, which uvicorn does not have: clients may send nothing, or take nothing."""

from __future__ import annotations

import asyncio
import json
import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from jvcr.serve.limits import Limits

_WATCH_S = 1.0
_LINGER_S = 3.0
"""For so long after a refusal, the rest of a body is thrown away as it comes: a client that still sends would otherwise
see a broken connection instead of the answer."""


def limited(limits: Limits) -> type[H11Protocol]:
    """uvicorn's protocol with these limits."""

    class Limited(H11Protocol):
        """A connection that is closed when its client takes too long."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.write(_too_many(limits))
                transport.close()
                return
            self._patience = _Patience(self, limits)
            self._watch()

        def _watch(self) -> None:
            if self.transport.is_closing() and not self.transport.get_write_buffer_size():
                return
            if self._patience.is_over():
                self.transport.abort()
                return
            self.loop.call_later(_WATCH_S, self._watch)

    return Limited


class _Patience:
    """Since when a connection has been waiting for its client."""

    def __init__(self, connection: H11Protocol, limits: Limits) -> None:
        self._connection, self._limits = connection, limits
        self._cycle: RequestResponseCycle | None = None
        self._since: dict[str, float] = {}

    def is_over(self) -> bool:
        """Whether the client took too long. Called regularly."""
        connection = self._connection
        if connection.cycle is not self._cycle:
            # Another request came in between.
            self._cycle = connection.cycle
            self._since.pop("header", None)
            self._since.pop("rest", None)
        answered = self._cycle is not None and self._cycle.response_complete
        unread = answered and connection.conn.their_state is h11.SEND_BODY
        return (
            self._waited("header", connection.conn.their_state is h11.IDLE) > self._limits.header_s
            or self._waited("rest", unread) > _LINGER_S
            or self._waited("write", connection.transport.get_write_buffer_size() > 0) > self._limits.write_s
        )

    def _waited(self, what: str, waits: bool) -> float:
        if not waits:
            self._since.pop(what, None)
            return 0.0
        return time.monotonic() - self._since.setdefault(what, time.monotonic())


def _too_many(limits: Limits) -> bytes:
    body = json.dumps({"error": f"{limits.connections} connections are open, the limit; try again later"}).encode()
    lines = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Retry-After: 1",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
