"""Landmarks of very many photos: a plan, shards that can be lost and computed again, and engines that run them.

``jvcr batch`` is the command (docs/batch.md). ``Shard`` is for engines of your own: it can be pickled.
"""

from jvcr.batch.shard import Shard as Shard

__all__ = ["Shard"]
