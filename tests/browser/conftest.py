"""A server as a process of its own, and pages in a real Chromium (Debian's, or the one that is on the PATH)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

# Tests must not fail because the machine is busy.
TIMEOUT_MS = 240_000
# The message of the browser about an answer of 400 or more, which the page itself handles.
REFUSED = "Failed to load resource"
# What a software renderer says about its own speed.
SLOW = "GPU stall"


def _astronaut() -> NDArray[np.uint8]:
    """(512, 512, 3) RGB."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed (extra demo)")
    photo: NDArray[np.uint8] = data.astronaut()
    return photo


@contextmanager
def _running(*options: str) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="fastapi is not installed (extra serve)")
    command = [sys.executable, "-m", "jvcr.cli.app", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            assert url.startswith("http://"), f"{' '.join(command)} printed {url!r} instead of its URL"
            yield url
        finally:
            server.terminate()


StartServer = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def start_server() -> StartServer:
    """``jvcr serve`` on a free port, with more options; a context that gives its URL."""
    return _running


@pytest.fixture(scope="session")
def server(start_server: StartServer) -> Iterator[str]:
    with start_server() as url:
        yield url


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """(200, 210, 3) the astronaut's face with some of what is around it."""
    return np.ascontiguousarray(_astronaut()[40:240, 120:330])


@pytest.fixture(scope="session")
def photo_file(photo: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossless file, so that the server sees the very pixels of ``photo``."""
    path = tmp_path_factory.mktemp("photos") / "astro.png"
    cv2.imwrite(str(path), photo[:, :, ::-1])
    return path


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's camera shows, over and over: the astronaut, 640 × 480, moving a few pixels."""
    path = tmp_path_factory.mktemp("film") / "camera.mjpeg"
    wide = cv2.copyMakeBorder(_astronaut()[:, :, ::-1], 0, 0, 80, 80, cv2.BORDER_REPLICATE)
    frames = [wide[:480, shift : shift + 640] for shift in range(0, 32, 8)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return path


@pytest.fixture(scope="session")
def browser(film: Path) -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    api.expect.set_options(timeout=TIMEOUT_MS)
    flags = [
        # Root in a container has no sandbox. The page is our own.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        # WebGL without a graphics card.
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--disable-gpu-rasterization",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-features=OptimizationGuideOnDeviceModel,OptimizationHints,MediaRouter,Translate",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags, timeout=TIMEOUT_MS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page, with what it asked for and complained about."""

    page: Any
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    open_requests: int = 0
    most_open: int = 0
    frames: int = 0

    def watch(self) -> None:
        self.page.on("request", self._request)
        self.page.on("requestfinished", self._finished)
        self.page.on("requestfailed", self._finished)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data"):
            self.hosts.add(f"{parts.scheme}://{parts.netloc}")
        if "/v1/faces" in request.url:
            self.frames += 1
            self.open_requests += 1
            self.most_open = max(self.most_open, self.open_requests)

    def _finished(self, request: Any) -> None:
        self.open_requests -= "/v1/faces" in request.url

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(word in message.text for word in (REFUSED, SLOW)):
            self.complaints.append(message.text)


Open = Callable[..., Visit]


@contextmanager
def _visits(browser: Any, server: str) -> Iterator[Open]:
    visits: list[tuple[Visit, str]] = []

    def visit(url: str = server, **settings: Any) -> Visit:
        usual = {"viewport": {"width": 900, "height": 640}, "reduced_motion": "reduce"}
        context = browser.new_context(**{**usual, **settings})
        context.set_default_timeout(TIMEOUT_MS)
        opened = Visit(context.new_page())
        opened.watch()
        visits.append((opened, url))
        opened.page.goto(url)
        return opened

    yield visit
    for opened, url in visits:
        opened.page.context.close()
        assert opened.hosts == {url}
        assert opened.complaints == []


@pytest.fixture
def open_page(browser: Any, server: str) -> Iterator[Open]:
    """Open the page anew; keywords are those of a browser context. Afterwards, no request has left the server, and the
    console holds neither errors nor warnings, such as those of the content policy."""
    with _visits(browser, server) as visit:
        yield visit


@pytest.fixture(scope="module")
def visit(browser: Any, server: str) -> Iterator[Visit]:
    """One page for all tests of a file, because the 3D view takes seconds to start without a graphics card. It is
    checked like those of ``open_page``."""
    with _visits(browser, server) as visit:
        yield visit(permissions=["clipboard-read", "clipboard-write", "camera"])


@pytest.fixture
def page(visit: Visit) -> Any:
    """The shared page, with the ticks that it began with."""
    visit.page.evaluate(
        """() => {
            for (const box of document.querySelectorAll("[data-layer]"))
                if (box.checked !== box.defaultChecked) box.click();
        }"""
    )
    return visit.page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here are slow ones: they start a server and a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
