"""``jvcr serve`` under load: requests per second, latency and memory, while half of the clients are hostile.

    python benchmarks/serve.py --requests 50000 --clients 200

It starts a server as a process of its own. Half of the clients send small photos: most with no box, so that the server
only reads and decodes, and some with a face. The others send bodies byte by byte, cut them off, send too much or
garbage, and never what the server wants. All clients run in this process. Prints JSON; the exit code is 1 if a good
request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import PIL.Image
import psutil
from skimage.data import astronaut

_TIMEOUT_S = 120.0
_FACE_QUERY = "?refine=0&mirror=0&boxes=%5B%5B57,47,154,137%5D%5D"


def encoded(image: Any) -> bytes:
    """A PNG of (H, W, 3) uint8 RGB."""
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "png")
    return file.getvalue()


FACE = encoded(astronaut()[40:240, 120:330])
EMPTY = encoded(np.full((40, 60, 3), 90, np.uint8))


class Load:
    """Clients of one server, and what they saw."""

    def __init__(self, port: int, requests: int, seconds: float, faces: float, seed: int) -> None:
        self.port, self.left, self.faces = port, requests, faces
        self.ends = time.monotonic() + seconds
        self.random = random.Random(seed)
        self.seconds: list[float] = []
        self.statuses: collections.Counter[str] = collections.Counter()
        self.attacks: collections.Counter[str] = collections.Counter()

    @property
    def over(self) -> bool:
        """Whether all requests were made, or the time is over."""
        return self.left <= 0 or time.monotonic() > self.ends

    async def good(self) -> None:
        """Requests one after the other, on one connection as long as the server keeps it."""
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self.over:
            self.left -= 1
            started = time.monotonic()
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self.port)
                with_face = self.random.random() < self.faces
                connection[1].write(request(FACE, _FACE_QUERY) if with_face else request(EMPTY, "?boxes=%5B%5D"))
                status = await asyncio.wait_for(reply(connection[0]), _TIMEOUT_S)
            except (TimeoutError, OSError, EOFError) as error:
                status, connection = type(error).__name__, None
            self.statuses[status] += 1
            if status == "200":
                self.seconds.append(time.monotonic() - started)
            elif status == "503":
                await asyncio.sleep(1.0)

    async def hostile(self) -> None:
        """Attacks one after the other, each on a new connection."""
        kinds: list[Callable[..., Awaitable[str]]] = [slow, cut_off, huge, endless, garbage, no_http, silent]
        while not self.over:
            kind = self.random.choice(kinds)
            with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    status = await asyncio.wait_for(kind(reader, writer, self.random), 20)
                    self.attacks[f"{kind.__name__} {status}"] += 1
                except (TimeoutError, OSError, EOFError):
                    self.attacks[f"{kind.__name__} closed"] += 1
                finally:
                    writer.transport.abort()
            await asyncio.sleep(self.random.uniform(0, 0.5))


def head(length: str, query: str = "") -> bytes:
    """A request's header; ``length`` is its line about the body."""
    lines = f"POST /v1/faces{query} HTTP/1.1", "Host: localhost", "Content-Type: image/png", length
    return "\r\n".join((*lines, "", "")).encode()


def request(body: bytes, query: str) -> bytes:
    """A whole request."""
    return head(f"Content-Length: {len(body)}", query) + body


async def reply(reader: asyncio.StreamReader) -> str:
    """Read a response; its status."""
    first = await reader.readuntil(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in first.lower().split(b"\r\n") if line.startswith(b"content-len")]
    await reader.readexactly(sum(lengths))
    return first.split()[1].decode()


async def slow(reader: Any, writer: Any, rng: random.Random) -> str:
    """A body byte by byte."""
    writer.write(head("Content-Length: 1000"))
    for _ in range(rng.randrange(1, 10)):
        writer.write(b"x")
        await asyncio.sleep(0.5)
    return "left"


async def cut_off(reader: Any, writer: Any, rng: random.Random) -> str:
    """Half of a body."""
    writer.write(head("Content-Length: 1000000") + rng.randbytes(500_000))
    await writer.drain()
    return "left"


async def huge(reader: Any, writer: Any, rng: random.Random) -> str:
    """A body that says that it is too large."""
    writer.write(head("Content-Length: 1000000000000"))
    return await reply(reader)


async def endless(reader: Any, writer: Any, rng: random.Random) -> str:
    """A body without a length that does not end."""
    writer.write(head("Transfer-Encoding: chunked"))
    answer = asyncio.ensure_future(reply(reader))
    try:
        while not answer.done():
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
    finally:
        await asyncio.wait({answer}, timeout=5)
        answer.cancel()
    return answer.result()


async def garbage(reader: Any, writer: Any, rng: random.Random) -> str:
    """Bytes that are no image, or a damaged one."""
    damaged = bytearray(FACE[: rng.randrange(20, len(FACE))])
    damaged[rng.randrange(len(damaged))] ^= 0xFF
    writer.write(request(rng.choice([rng.randbytes(1000), bytes(damaged)]), ""))
    return await reply(reader)


async def no_http(reader: Any, writer: Any, rng: random.Random) -> str:
    """Bytes that are no request."""
    writer.write(rng.randbytes(200) + b"\r\n\r\n")
    return await reply(reader)


async def silent(reader: Any, writer: Any, rng: random.Random) -> str:
    """A connection without a request, and half of one."""
    writer.write(b"POST /v1/fa" if rng.random() < 0.5 else b"")
    await reader.read(1)
    return "closed"


async def sampled(server: psutil.Process, load: Load, memory: list[tuple[float, float]]) -> None:
    """Resident memory of the main process and of all workers, MB, every second."""
    while not load.over:
        workers = sum(p.memory_info().rss for p in server.children())
        memory.append((server.memory_info().rss / 1e6, workers / 1e6))
        await asyncio.sleep(1)


async def run(load: Load, clients: int, server: psutil.Process) -> dict[str, Any]:
    """Run the clients, half of them hostile. Returns the figures."""
    memory: list[tuple[float, float]] = []
    started = time.monotonic()
    hostile = [asyncio.ensure_future(load.hostile()) for _ in range(clients // 2)]
    await asyncio.gather(sampled(server, load, memory), *(load.good() for _ in range(clients - clients // 2)))
    elapsed = time.monotonic() - started
    for task in hostile:
        task.cancel()
    await asyncio.gather(*hostile, return_exceptions=True)
    main, workers = np.array(memory).T
    tenth = len(memory) // 10
    return {
        "good_requests": sum(load.statuses.values()),
        "statuses": dict(load.statuses),
        "hostile_requests": sum(load.attacks.values()),
        "attacks": dict(sorted(load.attacks.items())),
        "seconds": round(elapsed, 1),
        "requests_per_s": round(len(load.seconds) / elapsed, 1),
        "p50_ms": round(1000 * float(np.percentile(load.seconds, 50)), 1),
        "p99_ms": round(1000 * float(np.percentile(load.seconds, 99)), 1),
        "main_mb": {"after a tenth": round(main[tenth]), "peak": round(main.max()), "end": round(main[-1])},
        "workers_mb": {"after a tenth": round(workers[tenth]), "peak": round(workers.max()), "end": round(workers[-1])},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000, help="good requests")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--faces", type=float, default=0.02, help="share of good requests with a face")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    command = [sys.executable, "-m", "jvcr.cli.app", "serve", "--port", "0", "--workers", str(options.workers)]
    command += ["--waiting", str(options.clients), "--max-body", "2", "--time-limit", str(_TIMEOUT_S)]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        port = int(served.stdout.readline().rpartition(":")[2])
        load = Load(port, options.requests, options.seconds, options.faces, options.seed)
        figures = asyncio.run(run(load, options.clients, psutil.Process(served.pid)))
        served.terminate()
        figures["exit_code"] = served.wait(180)
    finally:
        served.kill()
    print(json.dumps(figures, indent=1))
    sys.exit(int(set(figures["statuses"]) - {"200", "503"} != set() or figures["exit_code"] != 0))


if __name__ == "__main__":
    main()
