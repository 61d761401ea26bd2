"""Numbers for Prometheus. None of them is about an image's content or a client."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_OTHER = "other"


class Metrics:
    """All numbers of a server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "jvcr_requests", "Requests by endpoint and status.", ["endpoint", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "jvcr_request_seconds",
            "Time of a request, with its body.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.faces = Counter("jvcr_faces", "Faces in answers.", registry=self._registry)
        self.passes = Histogram(
            "jvcr_requests_per_pass",
            "Requests that a worker got together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )
        self.workers_replaced = Counter(
            "jvcr_workers_replaced", "Worker processes that died and were replaced.", registry=self._registry
        )

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when somebody asks."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)


class Counting:
    """ASGI middleware that counts requests. Paths that are no endpoint are one: clients choose them."""

    def __init__(self, app: ASGIApp, metrics: Metrics, endpoints: frozenset[str]) -> None:
        self._app, self._metrics, self._endpoints = app, metrics, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), "gone"

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            endpoint = scope["path"] if scope["path"] in self._endpoints else _OTHER
            self._metrics.requests.labels(endpoint, status).inc()
            self._metrics.seconds.labels(endpoint).observe(time.monotonic() - started)
