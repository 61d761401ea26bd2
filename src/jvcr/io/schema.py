"""The JSON Schema of the records that jvcr writes (docs/exports.md)."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

VERSION = 1
"""Of the schema. It grows when a property changes its meaning or goes; new properties keep it."""


def schema_text() -> str:
    """The schema as JSON text (draft 2020-12)."""
    return resources.files("jvcr.io").joinpath("schemas", f"records-{VERSION}.json").read_text(encoding="utf-8")


def record_schema() -> dict[str, Any]:
    """The schema of a line of ``jvcr predict --json`` or ``jvcr video --json``.

    ``$defs`` has the parts: ``photo``, ``frame``, ``face``, ``eye_report`` (the file of ``jvcr video --eyes``),
    ``batch_face`` and ``batch_photo`` (rows of ``jvcr batch``), and others.

    Example::

        jsonschema.validate(json.loads(line), record_schema())
    """
    return dict(json.loads(schema_text()))
