"""What decides the results of a batch. It is written into the plan, and later runs must agree with it."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jvcr.batch.store import sha256
from jvcr.detect.named import DetectorName, named_detector
from jvcr.detect.network import DETECT_SIZE
from jvcr.files import open_regular
from jvcr.images import MAX_PIXELS
from jvcr.landmarker import MIN_SCORE, Landmarker
from jvcr.runtime.backends import Backend
from jvcr.weights import DETECTORS, SEPARATE, SHIPPED, weights_path

FINGERPRINT_DIGITS = 16
"""Digits of the weights' SHA-256 in each row."""


@dataclass(frozen=True)
class Settings:
    """Settings of a batch; those of ``Landmarker`` have its names.

    Attributes:
        weights_sha256, detector_sha256: of the files; "" of a detector that is no network.
        photos_per_pass: photos searched together.
        max_pixels: larger photos are errors.
        time_limit_s: photos whose reading takes longer are errors.
    """

    weights: str = "small"
    weights_sha256: str = ""
    detector: str = DetectorName.OWN.value
    detector_sha256: str = ""
    detect_size: int = DETECT_SIZE
    min_score: float = MIN_SCORE
    refine: bool = True
    mirror: bool = True
    backend: str = Backend.ONNXRUNTIME.value
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1
    batch_size: int = 8
    photos_per_pass: int = 8
    max_pixels: int = MAX_PIXELS
    time_limit_s: float = 60.0

    def __post_init__(self) -> None:
        if self.photos_per_pass < 1 or self.max_pixels < 1 or not self.time_limit_s > 0:
            raise ValueError("photos_per_pass, max_pixels and time_limit_s must be more than 0")

    @classmethod
    def of(cls, **settings: Any) -> Settings:
        """The settings, with the checksums of the weights that they name on this machine.

        Raises:
            ValueError, FileNotFoundError: there are no such weights.
        """
        made = cls(**settings)
        if made.weights not in (*SHIPPED, *SEPARATE, *DETECTORS):
            # Workers may run in another folder.
            made = dataclasses.replace(made, weights=str(Path(made.weights).absolute()))
        detector = _sha256_of(weights_path("detector")) if made.detector == DetectorName.OWN else ""
        return dataclasses.replace(made, weights_sha256=_sha256_of(made._weights_file()), detector_sha256=detector)

    @property
    def fingerprint(self) -> str:
        """The start of the weights' SHA-256, which each row of a face holds."""
        return self.weights_sha256[:FINGERPRINT_DIGITS]

    def to_dict(self) -> dict[str, Any]:
        """For the plan."""
        return dataclasses.asdict(self)

    def _weights_file(self) -> Path:
        return weights_path(self.weights, ".safetensors" if self.backend == Backend.TORCH else ".onnx")


@functools.lru_cache(maxsize=1)
def open_landmarker(settings: Settings) -> Landmarker:
    """The landmarker of these settings. A process keeps the one that it used last.

    Raises:
        ValueError: this machine's weights are not those of the plan.
    """
    here = Settings.of(**(settings.to_dict() | {"weights_sha256": "", "detector_sha256": ""}))
    for name in ("weights_sha256", "detector_sha256"):
        if getattr(here, name) != getattr(settings, name):
            file = settings.weights if name == "weights_sha256" else settings.detector
            raise ValueError(
                f"{name.removesuffix('_sha256')} {file}: this machine's file has the SHA-256 "
                f"{getattr(here, name)[:12]}…, the plan's {getattr(settings, name)[:12]}…; install the same version on "
                "all machines"
            )
    return Landmarker(
        settings.weights,
        detector=named_detector(DetectorName(settings.detector), settings.detect_size, settings.threads),
        detect_size=settings.detect_size,
        min_score=settings.min_score,
        refine=settings.refine,
        mirror=settings.mirror,
        backend=settings.backend,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        batch_size=settings.batch_size,
    )


def _sha256_of(path: Path) -> str:
    with open_regular(path) as file:
        return sha256(file.read())
