"""Read and write landmarks of any aligner, as NPZ or JSON lines (docs/predictions.md), and match them with photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.reading import read_arrays
from jvcr.files import written_whole
from jvcr.markups.file import BUILT_IN, OWN_NAMES, built_in
from jvcr.markups.markup import MARKUP_68, Markup

_FORMS = "expected an .npz file with id and landmarks, or JSON lines {id, landmarks, box} (docs/predictions.md)"
_KNOWN = (*OWN_NAMES, *BUILT_IN)


@dataclass(frozen=True, eq=False)
class PredictionSet:
    """Predictions of one aligner: one face per photo.

    Attributes:
        ids: B photo names, all different.
        landmarks_img: (B, N, 3), or (B, N, 2) without depth; pixels of the original photo, 0-based, integer = pixel
            centre, z away from the camera. A missed face is a row of NaN.
        boxes: (B, 4) x0, y0, x1, y1: the face box that the aligner used for each photo, NaN if it had none. None if the
            file has no boxes.
        markup: names the landmarks.
        about: tool, version, source of the boxes, date; free-form.

    Raises:
        ValueError: shapes do not fit, an id appears more than once, or only part of a row is finite.
    """

    ids: list[str]
    landmarks_img: NDArray[np.floating]
    boxes: NDArray[np.floating] | None = None
    markup: Markup = field(default=MARKUP_68, repr=False)
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.landmarks_img.shape
        if len(shape) != 3 or shape[2] not in (2, 3) or not np.issubdtype(self.landmarks_img.dtype, np.floating):
            raise ValueError(
                f"landmarks are {self.landmarks_img.dtype} of shape {shape}; expected floats (B, N, 2) or (B, N, 3)"
            )
        if shape[0] != len(self.ids):
            raise ValueError(f"{len(self.ids)} ids, but landmarks of {shape[0]} faces")
        if shape[1] != self.markup.n_points:
            raise ValueError(
                f"{shape[1]} landmarks per face, but markup {self.markup.name!r} has {self.markup.n_points}; "
                f"give another 'markup' ({', '.join(_KNOWN)}, or its JSON)"
            )
        if len(set(self.ids)) != len(self.ids):
            twice = next(name for name in self.ids if self.ids.count(name) > 1)
            raise ValueError(f"id {twice!r} appears more than once; expected one face per photo")
        finite = np.isfinite(self.landmarks_img).all(axis=(1, 2))
        for row in np.flatnonzero(~finite & ~np.isnan(self.landmarks_img).all(axis=(1, 2))):
            raise ValueError(
                f"id {self.ids[row]!r}: some coordinates are not finite; expected all finite, or all NaN for a missed "
                "face (for landmarks without depth, omit z)"
            )
        if self.boxes is not None and self.boxes.shape != (len(self.ids), 4):
            raise ValueError(f"box has shape {self.boxes.shape}; expected ({len(self.ids)}, 4): x0, y0, x1, y1")

    @property
    def has_depth(self) -> bool:
        """Whether the landmarks have a z."""
        return self.landmarks_img.shape[2] == 3

    def of(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(len(names), N, 2 or 3) landmarks of the named photos; NaN for a missed face and for a photo not in the set.

        Raises:
            ValueError: none of the photos is in the set.
        """
        row_of = {name: row for row, name in enumerate(self.ids)}
        if not any(name in row_of for name in names):
            raise ValueError(
                f"none of its {len(self.ids)} ids is the name of one of the {len(names)} photos; an id is "
                f"{self.ids[0] if self.ids else '(none)'!r}, a name is {names[0]!r}"
            )
        out = np.full((len(names), *self.landmarks_img.shape[1:]), np.nan)
        for place, name in enumerate(names):
            if name in row_of:
                out[place] = self.landmarks_img[row_of[name]]
        return out


def read_predictions(path: Path) -> PredictionSet:
    """Read predictions from a file whose name ends in ``.npz`` or ``.jsonl``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: wrong format. The message names the file and, for JSON lines, the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {_FORMS}")
    arrays = read_arrays(path, ("id", "landmarks")) if path.suffix == ".npz" else {}
    try:
        if arrays:
            return _from_arrays(arrays)
        if path.suffix in (".jsonl", ".json"):
            return _read_jsonl(path)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: {error}; {_FORMS}") from error
    raise ValueError(f"{path}: ending {path.suffix!r} is unknown; {_FORMS}")


def write_predictions(path: Path, predictions: PredictionSet) -> None:
    """Write predictions to a file whose name ends in ``.npz`` or ``.jsonl``. Missing folders are created.

    Raises:
        ValueError: another ending.
        OSError: the file cannot be written. An existing file is left intact.
    """
    if path.suffix not in (".npz", ".jsonl"):
        raise ValueError(f"{path}: ending {path.suffix!r} is unknown; expected .npz or .jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        if path.suffix == ".npz":
            # np.savez_compressed takes the names of the arrays as keywords.
            arrays: dict[str, Any] = {
                "id": np.array(predictions.ids, dtype=np.str_),
                "landmarks": predictions.landmarks_img,
                "markup": np.array(_markup_text(predictions.markup)),
                "about": np.array(json.dumps(predictions.about)),
            }
            if predictions.boxes is not None:
                arrays["box"] = predictions.boxes
            np.savez_compressed(file, **arrays)
        else:
            file.write("".join(f"{line}\n" for line in _lines(predictions)).encode())


def _lines(predictions: PredictionSet) -> list[str]:
    lines = [json.dumps({"about": predictions.about, "markup": _markup_text(predictions.markup)})]
    for row, name in enumerate(predictions.ids):
        points = predictions.landmarks_img[row]
        record: dict[str, Any] = {"id": name, "landmarks": None if np.isnan(points).any() else points.tolist()}
        if predictions.boxes is not None:
            box = predictions.boxes[row]
            record["box"] = None if np.isnan(box).any() else box.tolist()
        lines.append(json.dumps(record))
    return lines


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> PredictionSet:
    ids = arrays["id"]
    if ids.dtype.kind != "U" or ids.ndim != 1:
        raise ValueError(f"id is {ids.dtype} of shape {ids.shape}; expected text, one name per face")
    return PredictionSet(
        ids=ids.tolist(),
        landmarks_img=arrays["landmarks"],
        boxes=arrays["box"].astype(np.float64) if "box" in arrays else None,
        markup=_markup(str(arrays["markup"])) if "markup" in arrays else MARKUP_68,
        about=_about(json.loads(str(arrays["about"]))) if "about" in arrays else {},
    )


def _read_jsonl(path: Path) -> PredictionSet:
    ids: list[str] = []
    points: list[NDArray[np.float64] | None] = []
    boxes: list[Any] = []
    markup, about = MARKUP_68, {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"a {type(record).__name__}, expected an object")
            if "id" not in record and not ids and ("about" in record or "markup" in record):
                about = _about(record.get("about", {}))
                markup = _markup(record["markup"]) if "markup" in record else MARKUP_68
                continue
            if "id" not in record or "landmarks" not in record:
                raise ValueError(f"expected id and landmarks, found {sorted(record)}")
            ids.append(str(record["id"]))
            points.append(None if record["landmarks"] is None else np.array(record["landmarks"], np.float64))
            box = record.get("box")
            boxes.append([np.nan] * 4 if box is None else [float(v) for v in box])
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None
    shapes = {p.shape for p in points if p is not None}
    if len(shapes) > 1:
        raise ValueError(f"landmarks have different shapes: {sorted(shapes)}")
    shape = shapes.pop() if shapes else (markup.n_points, 3)
    return PredictionSet(
        ids=ids,
        landmarks_img=np.array([np.full(shape, np.nan) if p is None else p for p in points]).reshape(-1, *shape),
        boxes=np.array(boxes, np.float64) if boxes and np.isfinite(boxes).any() else None,
        markup=markup,
        about=about,
    )


def _markup(value: object) -> Markup:
    known = built_in(value) if isinstance(value, str) else None
    if known is not None:
        return known
    try:
        return Markup.from_dict(json.loads(value) if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ValueError(f"markup {value!r} is unknown; expected one of {', '.join(_KNOWN)}, or its JSON") from None


def _markup_text(markup: Markup) -> str:
    return markup.name if built_in(markup.name) == markup else json.dumps(markup.to_dict())


def _about(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"about is a {type(value).__name__}; expected a JSON object")
    return value
