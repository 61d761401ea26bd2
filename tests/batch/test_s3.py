"""Photos and results on S3: moto's server on this machine."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jvcr.batch.events import Event
from jvcr.batch.job import Engine, Tally
from jvcr.batch.plan import read_plan
from jvcr.batch.shard import Counts
from jvcr.batch.store import Store
from jvcr.batch.verify import verify

for name in ("pyarrow", "s3fs", "moto", "flask"):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} comes with the extra dev", allow_module_level=True)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket."""
    import s3fs

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
    finally:
        server.kill()
        server.wait()
        s3fs.S3FileSystem.clear_instance_cache()


def test_photos_and_results_on_s3(s3: str, photos: Path, tmp_path: Path, batch: Callable[..., Tally]) -> None:
    import s3fs

    s3fs.S3FileSystem().put(f"{photos}/", f"{s3}/photos/", recursive=True)
    batch(photos, "whole")
    events: list[Event] = []
    after = batch(f"{s3}/photos", f"{s3}/out", engine=Engine.PROCESSES, workers=1, events=events)
    assert after.done == Counts(8, 8, 0)
    store = Store(f"{s3}/out")
    assert list(verify(store, read_plan(store))) == []
    for part in ("faces", "photos"):
        for path in (tmp_path / "whole" / part).iterdir():
            assert store.read(f"{part}/{path.name}") == path.read_bytes()
    # A second run has nothing to do.
    events.clear()
    assert batch(f"{s3}/photos", f"{s3}/out", events=events).shards == 3
    assert not events
