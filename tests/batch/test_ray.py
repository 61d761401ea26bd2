"""The Ray engine on two nodes of one machine, one of which is killed: `.ci/ray-tests`."""

from __future__ import annotations

import json
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
def nodes() -> Iterator[list[Any]]:
    """A cluster with a head without CPUs for actors, and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    # Without the dashboard, it starts faster.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        yield nodes
    finally:
        ray.shutdown()
        cluster.shutdown()


def kill_node(node: Any) -> None:
    """End all processes of a node with -9. Its actors end when they miss them."""
    for group in node.all_processes.values():
        for info in group:
            info.process.send_signal(signal.SIGKILL)
            # An actor takes a process that nobody has waited for as alive.
            info.process.wait()


def same_results(one: Path, other: Path) -> bool:
    """Whether two folders hold the same shards, byte for byte."""
    return all(
        {path.name: path.read_bytes() for path in (one / part).iterdir()}
        == {path.name: path.read_bytes() for path in (other / part).iterdir()}
        for part in ("faces", "photos", "done", "plan")
    )


def test_a_node_that_is_killed_loses_nothing(
    nodes: list[Any],
    photos: Path,
    tmp_path: Path,
    batch: Callable[..., Tally],
    make_photos: Callable[[Path, int], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = tmp_path / "held"

    class Waits(jvcr.batch.ray._Actor):
        """The first one that gets shard 5 says on which node it is, and waits there until it is killed."""

        def run(self, number: int) -> tuple[int, ...]:
            if number == 5 and not held.exists():
                (held.parent / "part").write_text(self.node())
                (held.parent / "part").rename(held)
                while True:
                    time.sleep(1)
            return super().run(number)

    monkeypatch.setattr(jvcr.batch.ray, "_Actor", Waits)
    # However busy the machine is: the test is that the loss of a node does not count against a shard.
    monkeypatch.setattr(jvcr.batch.ray, "_NODE_WAIT_S", 120.0)
    make_photos(photos, 60)
    batch(photos, "whole", engine=Engine.PROCESSES, workers=1)
    events: list[Event] = []
    killed: list[Any] = []

    def kill_its_node(event: Event) -> None:
        events.append(event)
        if event.kind is EventKind.DONE and held.exists() and not killed:
            killed.extend(node for node in nodes if node.node_id == held.read_text())
            assert len(killed) == 1
            kill_node(killed[0])

    after = batch(photos, engine=Engine.RAY, notify=kill_its_node)
    assert (after.shards, after.aside, after.done) == (20, 0, Counts(60, 60, 0))
    assert [event for event in events if event.kind is not EventKind.DONE] == [
        Event(EventKind.DEATH, 5, text="its node is gone")
    ]
    assert sorted(event.shard for event in events if event.kind is EventKind.DONE) == list(range(20))
    store = Store(str(tmp_path / "out"))
    assert list(verify(store, read_plan(store))) == []
    assert same_results(tmp_path / "out", tmp_path / "whole")


def test_an_actor_that_dies_is_replaced_and_a_shard_that_kills_two_is_set_aside(
    nodes: list[Any], photos: Path, tmp_path: Path, batch: Callable[..., Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    died = tmp_path / "died"

    class Dies(jvcr.batch.ray._Actor):
        """At shard 0 the first time, at shard 1 always."""

        def run(self, number: int) -> tuple[int, ...]:
            if number == 1 or (number == 0 and not died.exists()):
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().run(number)

    monkeypatch.setattr(jvcr.batch.ray, "_Actor", Dies)
    monkeypatch.setattr(jvcr.batch.ray, "_NODE_WAIT_S", 1.0)
    batch(photos, "whole", engine=Engine.PROCESSES, workers=1)
    events: list[Event] = []
    after = batch(photos, engine=Engine.RAY, events=events)
    assert (after.shards, after.aside, after.done.photos) == (2, 1, 5)
    lost = sorted((event.shard, event.kind) for event in events if event.kind is not EventKind.DONE)
    assert lost == [(0, EventKind.DEATH), (1, EventKind.ASIDE), (1, EventKind.DEATH)]
    (mark,) = (tmp_path / "out" / "aside").iterdir()
    reasons = json.loads(mark.read_text())["reasons"]
    assert [reason.startswith("the actor died (") for reason in reasons] == [True, True]
    assert batch(photos).aside == 1
    (tmp_path / "out" / "aside" / mark.name).unlink()
    monkeypatch.undo()
    assert batch(photos, engine=Engine.RAY).done == Counts(8, 8, 0)
    assert same_results(tmp_path / "out", tmp_path / "whole")


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
