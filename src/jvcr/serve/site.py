"""What the endpoints of a server share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jvcr.serve.body import GONE, Bodies
from jvcr.serve.headers import VIEW_POLICY
from jvcr.serve.metrics import Metrics
from jvcr.serve.options import FaceOptions
from jvcr.serve.pool import Pool
from jvcr.serve.refused import Refused
from jvcr.serve.settings import Settings
from jvcr.serve.work import Answer, Task, Work


@dataclass(frozen=True)
class Site:
    """A running server's parts."""

    settings: Settings
    pool: Pool
    metrics: Metrics
    bodies: Bodies

    async def respond(self, request: Request, task: Task, options: FaceOptions, **formats: object) -> Response:
        """Read the body, let a worker answer, and respond.

        Args:
            formats: ``picture`` or ``export`` of ``Work``.
        Raises:
            Refused: body or time over a limit, or too many wait.
        """
        content_type = request.headers.get("content-type", "")
        async with self.bodies.read(request) as body:
            work = Work(task, body, content_type, options, time.monotonic(), **formats)  # type: ignore[arg-type]
            answer = await self._answer(request, work)
        self.metrics.faces.inc(answer.faces)
        headers = {"Content-Security-Policy": VIEW_POLICY} if task is Task.VIEW and answer.status == 200 else {}
        if answer.filename:
            headers["Content-Disposition"] = f'attachment; filename="{answer.filename}"'
        return Response(answer.body, answer.status, headers, answer.media_type)

    async def _answer(self, request: Request, work: Work) -> Answer:
        answer = asyncio.wrap_future(self.pool.submit(work).answer)
        gone = asyncio.ensure_future(_gone(request))
        waited: set[asyncio.Future[Any]] = {answer, gone}
        try:
            await asyncio.wait(waited, timeout=self.settings.limits.time_s, return_when=asyncio.FIRST_COMPLETED)
            # The queue cancels a request that is too late for a worker.
            if answer.done() and not answer.cancelled():
                return answer.result()
            if gone.done():
                raise Refused(GONE, "the client is gone")
            raise Refused(504, f"no result after {self.settings.limits.time_s:g} s, the limit; try again later")
        finally:
            # A worker skips what nobody waits for.
            answer.cancel()
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
