"""Endpoints about the server itself."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

import jvcr
from jvcr.detect.network import DETECT_SIZE
from jvcr.io.exports import FormatName
from jvcr.landmarker import MIN_SCORE
from jvcr.serve.limits import DETECT_SIZES, MOST_BOXES, MOST_VOXELS
from jvcr.serve.refused import Refused
from jvcr.serve.replies import errors
from jvcr.serve.site import Site
from jvcr.weights import SEPARATE, SHIPPED

_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "fastapi", "uvicorn")
_RESEARCH = "research only (LICENSE-WEIGHTS)"
_OWN = "not stated: a file of this server's own"


def router(site: Site) -> APIRouter:
    """``/healthz``, ``/readyz``, ``/metrics`` and ``/v1/info``."""
    routes = APIRouter(tags=["server"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The server runs."""
        return {"status": "ok"}

    @routes.get("/readyz", responses=errors(_503="No worker process is ready."))
    async def readyz() -> dict[str, str]:
        """A worker process can take a request."""
        if not site.pool.ready:
            raise Refused(503, "no worker process is ready; one is being started", 2)
        return {"status": "ready"}

    @routes.get("/metrics", response_class=PlainTextResponse, responses=errors(_401="The token is missing or wrong."))
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(site.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/v1/info")
    async def info() -> dict[str, Any]:
        """Weights, licences, versions, limits and defaults."""
        return describe(site)

    return routes


def describe(site: Site) -> dict[str, Any]:
    """The body of ``/v1/info``."""
    limits = site.settings.limits
    return {
        "name": "jvcr",
        "version": jvcr.__version__,
        "weights": [
            {**one, "licence": _RESEARCH if one["name"] in (*SHIPPED, *SEPARATE) else _OWN} for one in site.pool.weights
        ],
        "licence": {"code": "MIT", "weights": _RESEARCH},
        "versions": {"python": platform.python_version()} | _versions(),
        "limits": {
            "body_bytes": limits.body_bytes,
            "pixels": limits.pixels,
            "waiting": limits.waiting,
            "time_s": limits.time_s,
            "boxes": MOST_BOXES,
            "detect_size": list(DETECT_SIZES),
            "voxels": MOST_VOXELS,
        },
        "defaults": {"refine": True, "mirror": True, "min_score": MIN_SCORE, "detect_size": DETECT_SIZE},
        "formats": [name.value for name in FormatName],
        "view": importlib.util.find_spec("plotly") is not None,
        "token_needed": bool(site.settings.token),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        # OpenCV has several packages, and one is enough.
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
