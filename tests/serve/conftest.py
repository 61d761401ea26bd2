"""A server's application in this process, with a real worker process; and servers as processes of their own."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient
from skimage.data import astronaut

from jvcr.serve.app import create_app
from jvcr.serve.limits import Limits
from jvcr.serve.metrics import Metrics
from jvcr.serve.pool import Pool
from jvcr.serve.settings import Settings, WorkerSettings

BASE = "http://localhost:8468"
LIMITS = Limits(body_bytes=2_000_000, pixels=1_000_000, time_s=120.0, body_s=60.0)
"""Small, but with time for a busy machine."""


def encoded(image: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="session")
def face() -> bytes:
    """A PNG of 210 × 200 pixels with one face."""
    return encoded(astronaut()[40:240, 120:330])


@pytest.fixture(scope="session")
def no_face() -> bytes:
    """A PNG of 60 × 40 pixels."""
    return encoded(np.full((40, 60, 3), 90, np.uint8))


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A web page's folder, with a file outside it that must not be served."""
    folder = tmp_path_factory.mktemp("site") / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "page.js").write_text("console.log(1)")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="session")
def settings(page: Path) -> Settings:
    return Settings(WorkerSettings({"small": "small"}, max_pixels=LIMITS.pixels), LIMITS, page=page)


@pytest.fixture(scope="session")
def pool_metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="session")
def pool(settings: Settings, pool_metrics: Metrics) -> Iterator[Pool]:
    pool = Pool(settings, pool_metrics)
    pool.start()
    yield pool
    pool.close()


MakeClient = Callable[..., TestClient]


@pytest.fixture(scope="session")
def make_client(settings: Settings, pool: Pool) -> MakeClient:
    """A client of an application with other settings, on the same workers."""

    def make(base: str = BASE, **changed: Any) -> TestClient:
        return TestClient(create_app(dataclasses.replace(settings, **changed), pool, Metrics()), base_url=base)

    return make


@pytest.fixture(scope="session")
def client(make_client: MakeClient) -> TestClient:
    return make_client()


class Served:
    """``jvcr serve`` as a process."""

    def __init__(self, *options: object) -> None:
        command = [sys.executable, "-m", "jvcr.cli.app", "serve", "--port", "0", *map(str, options)]
        environment = {name: value for name, value in os.environ.items() if name != "JVCR_SERVE_TOKEN"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise AssertionError(self.process.communicate()[1])
        self.port = int(self.url.rpartition(":")[2])

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM; the exit code and what was logged."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        log = self.process.communicate(timeout=30)[1]
        return self.process.returncode, log


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Served]]:
    """Start servers; they are ended after the tests."""
    started: list[Served] = []

    def start(*options: object) -> Served:
        started.append(Served(*options))
        return started[-1]

    yield start
    for served in started:
        served.process.kill()
        served.process.communicate()
