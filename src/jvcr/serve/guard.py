"""Who may ask: names of the server, other web pages, and the token."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from jvcr.serve.refused import Refused
from jvcr.serve.settings import Settings

_OPEN = frozenset({"/v1/info"})
"""Below /v1, but needs no token: the page asks it whether the others do."""


class Guard:
    """ASGI middleware that refuses requests before anything reads their body."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._hosts = settings.allowed_hosts
        self._expected = f"Bearer {settings.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope["path"], Headers(scope=scope))
            except Refused as error:
                headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
                await JSONResponse({"error": error.message}, error.status, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, path: str, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            raise Refused(421, f"this server is not called {host[:80]!r}; allow the name with --allow-host")
        origin = headers.get("origin")
        if origin is not None and not self._may_ask(origin, host):
            raise Refused(403, f"web pages of {origin[:80]!r} may not ask this server; allow them with --cors")
        if self._settings.token and self._needs_token(path):
            given = headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, self._expected):
                raise Refused(401, "the token is missing or wrong; send the header Authorization: Bearer TOKEN")

    def _may_ask(self, origin: str, host: str) -> bool:
        """Whether it is the server's own page or a named one. Browsers send pages' forms without asking first."""
        own = origin.partition("://")[2].lower() == host.lower()
        return own or origin in self._settings.cors or "*" in self._settings.cors

    def _needs_token(self, path: str) -> bool:
        return (path.startswith("/v1/") and path not in _OPEN) or path == "/metrics"


def _name(host: str) -> str:
    """The header ``Host`` without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
