"""The engine for clusters: Ray Core actors, each with the networks loaded once."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from jvcr.batch.events import Deaths, EngineError, Event, EventKind, Notify
from jvcr.batch.shard import Counts, Shard
from jvcr.extras import missing

_STARTS = 4
"""Actors that may end before their first shard, one after the other, until the run is given up."""

_NODE_WAIT_S = 15.0
"""How long Ray may take to notice that the node of a lost actor is gone, too."""


def run_ray(
    out: str,
    shards: Iterable[int],
    notify: Notify,
    *,
    address: str = "",
    actors: int = 0,
    cpus: float = 1.0,
    gpus: float = 0.0,
    draw_every: int = 0,
) -> None:
    """Compute shards on a Ray cluster. All its nodes must reach photos and results, and have the same weights.

    The shard of an actor that is lost is computed again by another one. A shard that ends two actors on nodes that live
    on is set aside; the loss of a node is not the shard's fault.

    Args:
        address: of the cluster; "" connects to a running one, or starts one on this machine.
        actors: 0: as many as fit the cluster.
        cpus, gpus: what an actor takes.
    Raises:
        MissingExtra: Ray is not installed. EngineError: actors cannot be started, or results cannot be written.
    """
    try:
        import ray
        from ray.exceptions import RayActorError, RayTaskError
    except ModuleNotFoundError as error:
        raise missing("ray", error) from error
    started = not ray.is_initialized()
    if started:
        # A cluster that Ray starts here would send usage statistics to its makers.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray.init(address=address or None, log_to_driver=False)
        except ConnectionError as error:
            raise EngineError(f"--address {address}: no Ray cluster answers there ({error})") from error
    kind = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)(_Actor)
    waiting = iter(shards)
    again: deque[int] = deque()
    deaths = Deaths(out, notify)
    busy: dict[Any, tuple[Any, int]] = {}
    ready: set[Any] = set()
    node_of: dict[Any, str] = {}
    starting: dict[Any, Any] = {}
    failed_starts = 0

    def next_shard() -> int | None:
        return again.popleft() if again else next(waiting, None)

    def room() -> int:
        total = ray.cluster_resources()
        most = min(
            int(total.get("CPU", 0) // cpus) if cpus else 1 << 20, int(total.get("GPU", 0) // gpus) if gpus else 1 << 20
        )
        return min(actors, most) if actors else most

    def give(actor: Any, shard: int) -> None:
        busy[actor.run.remote(shard)] = (actor, shard)

    def start() -> None:
        actor = kind.remote(out, draw_every)
        starting[actor.node.remote()] = actor

    try:
        ahead = next_shard()
        while ahead is not None or busy:
            # A node that joins gets actors, too.
            live = len(ready) + len(starting)
            for _ in range(room() - live if ahead is not None else 0):
                start()
            if not busy and not starting:
                raise EngineError(
                    f"the cluster has no room for an actor of {cpus:g} CPUs and {gpus:g} GPUs; it has "
                    f"{ray.cluster_resources()}"
                )
            finished, _ = ray.wait([*busy, *starting], num_returns=1, timeout=5.0)
            for reference in finished:
                if reference in starting:
                    actor = starting.pop(reference)
                    try:
                        node_of[actor] = ray.get(reference)
                    except RayActorError as error:
                        failed_starts += 1
                        if failed_starts >= _STARTS:
                            raise EngineError(f"{_STARTS} actors ended before they were ready: {error}") from error
                        continue
                    except RayTaskError as error:
                        raise EngineError(str(error.cause)) from error
                    failed_starts = 0
                    ready.add(actor)
                else:
                    actor, shard = busy.pop(reference)
                    try:
                        counts = Counts(*ray.get(reference))
                    except RayActorError as error:
                        ready.discard(actor)
                        if _node_is_gone(ray, node_of.pop(actor, "")):
                            notify(Event(EventKind.DEATH, shard, text="its node is gone"))
                            again.append(shard)
                        elif deaths.add(shard, f"the actor died ({str(error).splitlines()[0]})"):
                            again.append(shard)
                        if ahead is None:
                            ahead = next_shard()
                        continue
                    except RayTaskError as error:
                        if isinstance(error.cause, OSError):
                            raise EngineError(f"shard {shard}: {error.cause}") from error
                        if deaths.add(shard, f"{type(error.cause).__name__}: {error.cause}"):
                            again.append(shard)
                    else:
                        notify(Event(EventKind.DONE, shard, counts))
                if ahead is None:
                    ahead = next_shard()
                if ahead is not None:
                    give(actor, ahead)
                    ahead = next_shard()
            # Actors that were ready while nothing was left to do.
            idle = [actor for actor in ready if actor not in {actor for actor, _ in busy.values()}]
            for actor in idle:
                if ahead is None:
                    break
                give(actor, ahead)
                ahead = next_shard()
    finally:
        for actor in [*ready, *starting.values()]:
            ray.kill(actor)
        if started:
            ray.shutdown()


def _node_is_gone(ray: Any, node: str) -> bool:
    """Whether the node of a lost actor is gone. Ray may notice the actor's end first."""
    until = time.monotonic() + _NODE_WAIT_S
    while node and time.monotonic() < until:
        if not any(entry["NodeID"] == node and entry["Alive"] for entry in ray.nodes()):
            return True
        time.sleep(0.5)
    return False


class _Actor:
    """Computes shards. Ray makes an actor of it."""

    def __init__(self, out: str, draw_every: int) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        import cv2

        from jvcr.batch.plan import read_plan
        from jvcr.batch.settings import open_landmarker
        from jvcr.batch.store import Store

        cv2.setNumThreads(1)
        self._out, self._draw_every = out, draw_every
        open_landmarker(read_plan(Store(out)).settings)

    def node(self) -> str:
        """Where it runs."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def run(self, number: int) -> tuple[int, ...]:
        """Compute a shard; its counts."""
        return tuple(Shard(self._out, number).run(draw_every=self._draw_every))
