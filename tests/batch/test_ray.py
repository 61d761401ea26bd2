"""The Ray engine on two nodes of one machine, one of which is killed: `pytest -m slow tests/batch/test_ray.py`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jvcr.batch.ray
from jvcr.batch.events import EngineError, Event, EventKind
from jvcr.batch.job import Engine, Tally
from jvcr.batch.plan import read_plan
from jvcr.batch.shard import Counts
from jvcr.batch.store import Store
from jvcr.batch.verify import verify

ray = pytest.importorskip("ray", reason="ray comes with the extra ray")
pytest.importorskip("pyarrow", reason="pyarrow comes with the extra batch")


pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster with a head without CPUs for actors, and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_a_node_that_is_killed_loses_nothing(
    cluster: Any,
    photos: Path,
    tmp_path: Path,
    batch: Callable[..., Tally],
    make_photos: Callable[[Path, int], list[str]],
) -> None:
    _, nodes = cluster
    make_photos(photos, 60)
    batch(photos, "whole")
    events: list[Event] = []

    def kill_a_node(event: Event) -> None:
        events.append(event)
        if event.kind is EventKind.DONE and sum(e.kind is EventKind.DONE for e in events) == 3:
            for info in nodes[0].all_processes.values():
                for process in info:
                    process.process.send_signal(signal.SIGKILL)

    after = batch(photos, engine=Engine.RAY, notify=kill_a_node)
    assert (after.shards, after.aside, after.done) == (20, 0, Counts(60, 60, 0))
    done = [event.shard for event in events if event.kind is EventKind.DONE]
    assert sorted(done) == list(range(20))
    store = Store(str(tmp_path / "out"))
    assert list(verify(store, read_plan(store))) == []
    for part in ("faces", "photos", "done"):
        for path in (tmp_path / "whole" / part).iterdir():
            assert (tmp_path / "out" / part / path.name).read_bytes() == path.read_bytes()


def test_a_shard_that_kills_its_actors_is_set_aside(
    cluster: Any, photos: Path, tmp_path: Path, batch: Callable[..., Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fatal(jvcr.batch.ray._Actor):
        def run(self, number: int) -> tuple[int, ...]:
            if number == 1:
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGKILL)
            return super().run(number)

    monkeypatch.setattr(jvcr.batch.ray, "_Actor", Fatal)
    monkeypatch.setattr(jvcr.batch.ray, "_NODE_WAIT_S", 1.0)
    after = batch(photos, engine=Engine.RAY)
    assert (after.shards, after.aside, after.done.photos) == (2, 1, 5)


def test_a_cluster_that_is_missing_is_named_and_no_statistics_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        raise ConnectionError("refused")

    # Set first, so that it is restored.
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(EngineError, match=r"--address 10\.0\.0\.1:6379: no Ray cluster answers there"):
        jvcr.batch.ray.run_ray("out", [0], lambda event: None, address="10.0.0.1:6379")
