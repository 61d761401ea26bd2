"""Detector weights that describe themselves, as a ``safetensors`` file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from jvcr.model.checkpoint import read_safetensors, write_safetensors
from jvcr.model.config import DetectorConfig
from jvcr.model.detector import FaceDetector
from jvcr.runtime.checksum import MARK
from jvcr.runtime.header import Fields

KEY = "jvcr-detector"


@dataclass(frozen=True)
class DetectorHeader:
    """Metadata of a detector: its sizes, and a free-form JSON-able ``about``."""

    config: DetectorConfig
    about: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text, for the weights file."""
        return json.dumps({"config": self.config.to_dict(), "about": self.about} | MARK)

    @classmethod
    def from_json(cls, text: str, path: Path = Path("weights")) -> DetectorHeader:
        """Inverse of ``to_json``; ``path`` is for messages.

        Raises:
            ValueError: a field is missing or wrong; it is named.
        """
        fields = Fields.of(path, KEY, text)
        config = fields.inner("config")
        config.fit(DetectorConfig)
        about = fields.inner("about", optional=True).values
        return cls(config.made(lambda: DetectorConfig.from_dict(config.values)), about)


def save_detector(path: Path, network: FaceDetector, header: DetectorHeader, half: bool = False) -> None:
    """Write weights and header; ``half`` stores kernels in 16 bits."""
    write_safetensors(path, network, {KEY: header.to_json()}, half)


def is_detector(path: Path) -> bool:
    """Whether a file holds detector weights; False for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            return KEY in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def load_detector(path: Path) -> tuple[FaceDetector, DetectorHeader]:
    """Rebuild the detector of a weights file, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a detector's weights, or its tensors do not fit its own configuration.
    """
    return read_safetensors(path, KEY, DetectorHeader.from_json, lambda header: FaceDetector(header.config))
