"""The landmarkers of a worker: each network is opened once, whatever the requests' options are."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from jvcr.detect.network import NetworkDetector
from jvcr.landmarker import Landmarker
from jvcr.markups.markup import Markup
from jvcr.runtime.backends import open_backend
from jvcr.serve.options import FaceOptions
from jvcr.serve.refused import Refused
from jvcr.serve.settings import WorkerSettings


class Setting(NamedTuple):
    """Options that decide on the landmarker; requests that share forward passes have the same."""

    weights: str
    refine: bool
    mirror: bool
    min_score: float
    detect_size: int


class Landmarkers:
    """Opens all weights of the settings.

    Raises:
        ValueError, FileNotFoundError, ImportError: weights or backend that cannot be opened.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._runtimes = {
            name: open_backend(
                weights,
                settings.backend,
                device=settings.device,
                precision=settings.precision,
                threads=settings.threads,
            )
            for name, weights in settings.weights.items()
        }
        self._detector = NetworkDetector(threads=settings.threads)
        # A landmarker holds no network of its own, so that the others are made in no time.
        self.of = functools.lru_cache(maxsize=64)(self._made)

    def setting(self, options: FaceOptions) -> Setting:
        """What the options ask for.

        Raises:
            Refused: 422 for unknown weights.
        """
        weights = options.weights or next(iter(self._runtimes))
        if weights not in self._runtimes:
            raise Refused(422, f"weights: {weights[:40]!r} are not on this server; it has {', '.join(self._runtimes)}")
        return Setting(weights, options.refine, options.mirror, options.min_score, options.detect_size)

    @property
    def markups(self) -> dict[str, Markup]:
        """Of each of the weights."""
        return {name: runtime.markup for name, runtime in self._runtimes.items()}

    def describe(self) -> list[dict[str, Any]]:
        """Name, markup and number of points of the weights, the default first."""
        return [
            {"name": name, "markup": markup.name, "points": markup.n_points} for name, markup in self.markups.items()
        ]

    def _made(self, setting: Setting) -> Landmarker:
        return Landmarker(
            setting.weights,
            detector=self._detector.with_size(setting.detect_size),
            min_score=setting.min_score,
            refine=setting.refine,
            mirror=setting.mirror,
            backend=self._runtimes[setting.weights],
            batch_size=self._settings.together,
        )
