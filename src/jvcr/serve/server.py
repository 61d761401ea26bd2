"""Run the server until a signal ends it."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from jvcr.serve.app import create_app
from jvcr.serve.connection import limited
from jvcr.serve.metrics import Metrics
from jvcr.serve.pool import Pool
from jvcr.serve.settings import Settings

_BACKLOG = 2048


def run(settings: Settings, port: int, tell: Callable[[str], object]) -> None:
    """Listen on ``settings.host`` and answer until SIGTERM or Ctrl-C. Requests in hand are then finished.

    Args:
        port: 0 takes a free one.
        tell: called with the server's URL when it can be asked.
    Raises:
        OSError: the address is taken or not this machine's. ValueError: no worker can start.
    """
    metrics = Metrics()
    with contextlib.closing(_bound(settings.host, port)) as listening:
        pool = Pool(settings, metrics)
        try:
            pool.start()
            server = _Server(settings, pool, metrics)
            tell(url_of(listening))
            server.run([listening])
        finally:
            pool.close()


def url_of(listening: socket.socket) -> str:
    """The URL of a socket that listens."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(
            error.errno, f"--host {host}: {error.strerror or error}; expected an address of this machine"
        ) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(
            error.errno,
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another --port",
        ) from error
    return listening


class _Server(uvicorn.Server):
    """uvicorn, with an end that is no failure."""

    def __init__(self, settings: Settings, pool: Pool, metrics: Metrics) -> None:
        limits = settings.limits
        super().__init__(
            uvicorn.Config(
                create_app(settings, pool, metrics),
                http=limited(limits),
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_level="error",
                # Queries may hold names and boxes.
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=math.ceil(limits.body_s + limits.time_s + 5),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A first signal finishes what is in hand; a second one does not wait. uvicorn would raise it again."""
        before = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, *_: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
