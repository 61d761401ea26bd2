"""The JSON Schema describes the rows of a batch's tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jvcr.batch.job import Tally
from jvcr.batch.schema import face_schema, photo_schema
from jvcr.io.schema import record_schema

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (extra: dev)")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with the extra batch")


def test_rows_are_described(
    tmp_path: Path, make_photos: Callable[[Path, int], list[str]], batch: Callable[..., Tally]
) -> None:
    make_photos(tmp_path / "photos", 2)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    batch(tmp_path / "photos")
    parts = record_schema()["$defs"]
    for table, part, columns, count in (
        ("faces", "batch_face", face_schema(), 2),
        ("photos", "batch_photo", photo_schema(), 3),
    ):
        rows = parquet.read_table(tmp_path / "out" / table).to_pylist()
        assert len(rows) == count
        assert list(parts[part]["properties"]) == columns.names
        for row in rows:
            # JSON has no tuples.
            jsonschema.Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": parts}).validate(
                json.loads(json.dumps(row))
            )
    assert any(row["error"] for row in rows) and not all(row["error"] for row in rows)
