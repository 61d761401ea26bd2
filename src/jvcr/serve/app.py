"""The application: endpoints, the web page, and what surrounds them."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

import jvcr
from jvcr.serve import about, export, faces
from jvcr.serve.body import Bodies
from jvcr.serve.guard import Guard
from jvcr.serve.headers import BROWSER_HEADERS, SafeHeaders
from jvcr.serve.metrics import Counting, Metrics
from jvcr.serve.options import described
from jvcr.serve.pool import Pool
from jvcr.serve.refused import Refused
from jvcr.serve.settings import Settings
from jvcr.serve.site import Site

_ABOUT = "3D facial landmarks from photos. Nothing is stored and nothing about photos is logged."


def create_app(settings: Settings, pool: Pool, metrics: Metrics) -> FastAPI:
    """The ASGI application. It does not start or close the pool."""
    site = Site(settings, pool, metrics, Bodies(settings.limits))
    metrics.watch("jvcr_requests_waiting", "Requests without an answer.", lambda: pool.queue.open_jobs)
    metrics.watch("jvcr_bodies_bytes", "Bytes of bodies in memory.", lambda: site.bodies.held_bytes)
    # FastAPI's own documentation pages load scripts from another host.
    app = FastAPI(title="jvcr", version=jvcr.__version__, description=_ABOUT, docs_url=None, redoc_url=None)
    for part in (faces, export, about):
        app.include_router(part.router(site))
    _add_page(app, settings)
    _add_errors(app)
    _surround(app, site)
    return app


def _add_page(app: FastAPI, settings: Settings) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        if not (settings.page / "index.html").is_file():
            raise HTTPException(404, "this server has no page; its interface is described in /openapi.json")
        return FileResponse(settings.page / "index.html")

    if settings.page.is_dir():
        app.mount("/page", StaticFiles(directory=settings.page))
    if settings.browser is not None:
        app.mount("/browser", SafeHeaders(StaticFiles(directory=settings.browser, html=True), BROWSER_HEADERS))


def _add_errors(app: FastAPI) -> None:
    """All errors have the same form: {"error": text}."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return JSONResponse({"error": error.message}, error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"error": described(list(error.errors()))}, 422)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": f"{request.url.path[:80]}: {error.detail}"}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": f"the server failed on this request ({type(error).__name__})"}, 500)


def _surround(app: FastAPI, site: Site) -> None:
    """Middleware, from the innermost outwards."""
    endpoints = frozenset({"/", *app.openapi()["paths"]})
    app.add_middleware(Guard, settings=site.settings)
    if site.settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(site.settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(SafeHeaders)
    app.add_middleware(Counting, metrics=site.metrics, endpoints=endpoints)
