"""``jvcr serve``: landmarks over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.console import log
from jvcr.cli.options import BackendOption, DeviceOption, PrecisionOption
from jvcr.extras import missing
from jvcr.runtime.backends import Backend


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. Others than loopback need --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8468,
    token: Annotated[
        str,
        typer.Option(
            envvar="JVCR_SERVE_TOKEN",
            show_envvar=True,
            show_default=False,
            help="Clients must send Authorization: Bearer TOKEN. Others see command lines, but not the variable.",
        ),
    ] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let everybody who reaches the address ask, without a token.")
    ] = False,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let web pages of this origin ask (https://example.org); may be repeated."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name of this server in the header Host; may be repeated."),
    ] = None,
    browser: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also host, at /browser/, the page that runs in the visitor's browser (docs/browser.md).",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="Weights that clients may choose, the default first; may be repeated. Default: small."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that predict.")] = 1,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of each process; 0 uses all cores.")] = 1,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
    gather_ms: Annotated[
        float, typer.Option(min=0, max=1000, help="How long a request waits for others, to share forward passes.")
    ] = 5.0,
    together: Annotated[int, typer.Option(min=1, help="Requests that share forward passes at most.")] = 8,
    max_body: Annotated[float, typer.Option(min=0.001, help="Refuse larger bodies, megabytes (413).")] = 20.0,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Refuse larger photos (width × height; 422). A pixel takes up to 10 bytes.")
    ] = 40_000_000,
    waiting: Annotated[int, typer.Option(min=1, help="Refuse requests when so many wait (503).")] = 64,
    time_limit: Annotated[float, typer.Option(min=0.1, help="Give up a request after so many seconds (504).")] = 30.0,
    body_limit: Annotated[float, typer.Option(min=0.1, help="Give up a body that takes longer, seconds (408).")] = 15.0,
    connections: Annotated[int, typer.Option(min=1, help="Refuse connections when so many are open (503).")] = 512,
) -> None:
    """Answer HTTP requests with the landmarks of their photos, until SIGTERM or Ctrl-C (docs/serve.md).

    The address is printed when the server is ready. Requests that arrive together share forward passes.
    """
    try:
        from jvcr.serve.limits import Limits
        from jvcr.serve.server import run
        from jvcr.serve.settings import Settings, WorkerSettings, check_reach, checked_browser, named_weights
    except ModuleNotFoundError as error:
        raise missing("serve", error) from error
    check_reach(host, token, insecure)
    settings = Settings(
        WorkerSettings(
            named_weights(weights or ["small"]),
            backend=backend.value,
            device=device,
            precision=precision,
            threads=threads,
            together=together,
            max_pixels=max_pixels,
        ),
        Limits(
            body_bytes=round(max_body * 1e6),
            pixels=max_pixels,
            waiting=waiting,
            time_s=time_limit,
            body_s=body_limit,
            connections=connections,
        ),
        workers=workers,
        gather_s=gather_ms / 1000,
        host=host,
        hosts=tuple(allow_host or ()),
        token=token,
        cors=tuple(cors or ()),
        browser=checked_browser(browser),
    )
    log.print("starting …", highlight=False)
    run(settings, port, typer.echo)
