"""The tables of a shard, as Parquet: one row a face, one row a photo, and the times. Described in docs/batch.md.

The bytes depend on the rows and on pyarrow's version alone: no file holds a time of its writing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jvcr.extras import missing
from jvcr.results import Face

VERSION = 1
"""Of the schema. It grows when a column changes its meaning or goes; new columns keep it."""

_ROUND = 1024
"""Coordinates are rounded to this fraction of a pixel, so that they compress."""


def import_arrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet module; raises MissingExtra without them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise missing("batch", error) from error
    return pyarrow, pyarrow.parquet


def face_schema() -> Any:
    """Columns of ``faces/``."""
    pa, _ = import_arrow()
    floats = pa.list_(pa.float32())
    return pa.schema(
        [
            pa.field("photo_index", pa.int64(), nullable=False),
            pa.field("photo", pa.string(), nullable=False),
            pa.field("face", pa.int32(), nullable=False),
            *(pa.field(name, pa.float32(), nullable=False) for name in ("x0", "y0", "x1", "y1", "score")),
            pa.field("landmarks", floats, nullable=False),
            *(pa.field(name, pa.float32()) for name in ("yaw_deg", "pitch_deg", "roll_deg")),
            pa.field("markup", pa.string(), nullable=False),
            pa.field("weights", pa.string(), nullable=False),
            pa.field("visibility", floats),
            pa.field("sigma_px", floats),
            pa.field("expression", pa.map_(pa.string(), pa.float32())),
        ],
        metadata=_metadata("faces"),
    )


def photo_schema() -> Any:
    """Columns of ``photos/``."""
    pa, _ = import_arrow()
    return pa.schema(
        [
            pa.field("photo_index", pa.int64(), nullable=False),
            pa.field("photo", pa.string(), nullable=False),
            pa.field("bytes", pa.int64()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("faces", pa.int32(), nullable=False),
            pa.field("error", pa.string()),
        ],
        metadata=_metadata("photos"),
    )


def time_schema() -> Any:
    """Columns of ``times/``."""
    pa, _ = import_arrow()
    return pa.schema(
        [
            pa.field("photo_index", pa.int64(), nullable=False),
            pa.field("read_ms", pa.float32(), nullable=False),
            pa.field("predict_ms", pa.float32(), nullable=False),
        ],
        metadata=_metadata("times"),
    )


def face_row(photo_index: int, photo: str, number: int, face: Face, fingerprint: str) -> dict[str, Any]:
    """The row of a face."""
    pose = face.pose if face.has_pose else None
    x0, y0, x1, y1 = _rounded(face.box.to_list()).tolist()
    return {
        "photo_index": photo_index,
        "photo": photo,
        "face": number,
        **{"x0": x0, "y0": y0, "x1": x1, "y1": y1},
        "score": face.score,
        "landmarks": _rounded(face.landmarks).ravel(),
        "yaw_deg": pose and pose.yaw_deg,
        "pitch_deg": pose and pose.pitch_deg,
        "roll_deg": pose and pose.roll_deg,
        "markup": face.markup.name,
        "weights": fingerprint,
        # Of weights that predict them.
        "visibility": face.visibility,
        "sigma_px": face.sigma_px,
        "expression": list(face.expression.to_dict().items()) if face.has_expression else None,
    }


def to_parquet(rows: Sequence[Mapping[str, Any]], schema: Any) -> bytes:
    """A Parquet file of these rows."""
    pa, parquet = import_arrow()
    columns = {name: [row[name] for row in rows] for name in schema.names}
    table = pa.Table.from_pydict(columns, schema=schema)
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="zstd", use_dictionary=["photo", "markup", "weights", "error"])
    return sink.getvalue()


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> Any:
    """The table of a Parquet file.

    Raises:
        ValueError: it is none.
    """
    pa, parquet = import_arrow()
    try:
        # Without Arrow's thread pools: when the process ends while they start, it aborts.
        return parquet.read_table(io.BytesIO(data), columns=columns, use_threads=False, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"no Parquet file ({error})") from error


def _metadata(table: str) -> dict[str, str]:
    return {"jvcr.table": table, "jvcr.schema": str(VERSION)}


def _rounded(values: Any) -> Any:
    return (np.round(np.asarray(values, np.float64) * _ROUND) / _ROUND).astype(np.float32)
