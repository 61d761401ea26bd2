"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from jvcr.runtime.backends import Backend
from jvcr.serve.limits import Limits

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8468
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker process needs; it is sent to the process once.

    Attributes:
        weights: name that clients use → what ``Landmarker`` takes. The first one is the default.
        backend, device, precision, threads: of ``Landmarker``.
        together: images that share forward passes.
        max_pixels: of one image.
    """

    weights: dict[str, str]
    backend: str = Backend.ONNXRUNTIME.value
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1
    together: int = 8
    max_pixels: int = Limits.pixels


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Attributes:
        workers: processes that predict.
        gather_s: how long a request waits for others, to share forward passes with them.
        host: address to listen on. hosts: further names that clients may use for it (header ``Host``).
        token: clients must send it; "" asks for none.
        cors: origins of other web pages that may ask; "*" is any.
        page: folder of the web page.
        browser: folder of the page that runs in the visitor's browser (``web/dist/page`` of a clone); None hosts none.
    """

    worker: WorkerSettings
    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    gather_s: float = 0.005
    host: str = DEFAULT_HOST
    hosts: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    cors: tuple[str, ...] = ()
    page: Path = Path(__file__).parent / "page"
    browser: Path | None = None

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """Names in the header ``Host`` that are answered; None answers all.

        On a loopback address, a name that somebody else controls must not lead to the server (DNS rebinding).
        """
        if is_loopback(self.host):
            return frozenset({*_LOOPBACK_NAMES, self.host.lower(), *(name.lower() for name in self.hosts)})
        return frozenset(name.lower() for name in self.hosts) or None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def named_weights(given: list[str]) -> dict[str, str]:
    """Names for clients → weights: a shipped name is its own, a file's is its name without ending, never its path.

    Raises:
        ValueError: two have the same name.
    """
    named: dict[str, str] = {}
    for weights in given:
        name = Path(weights).stem
        if name in named:
            raise ValueError(
                f"--weights {weights}: the name {name!r} is taken by {named[name]}; rename one of the files"
            )
        named[name] = weights
    return named


def check_reach(host: str, token: str, insecure: bool) -> None:
    """Refuse an address that others can reach, unless there is a token or somebody insists.

    Raises:
        ValueError: says what to do.
    """
    if not is_loopback(host) and not token and not insecure:
        raise ValueError(
            f"--host {host} can be reached from other machines; set a token (--token, or the environment variable "
            "JVCR_SERVE_TOKEN), or allow everybody with --insecure"
        )


def checked_browser(folder: Path | None) -> Path | None:
    """The folder of the page that runs in the browser, if it is one.

    Raises:
        ValueError: it is not; says what to do.
    """
    if folder is not None and not all((folder / name).is_file() for name in ("index.html", "jvcr/manifest.json")):
        raise ValueError(
            f"--browser {folder}: not the built page (no index.html with jvcr/manifest.json); build it in a clone with "
            "`cd web && npm ci && npm run build`, and give the folder web/dist/page"
        )
    return folder
