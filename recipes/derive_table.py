"""Derive a training table from another: drop rows, add those of a second one, mix labels with a network's predictions.

    python recipes/derive_table.py DATA OUT --without recipes/twins.txt
    python recipes/derive_table.py DATA OUT --without recipes/twins.txt --add TURNED
    python recipes/derive_table.py DATA OUT --without recipes/twins.txt --weights small --share 0.5 --share-exact 0.25

Only ``train`` rows change. The prediction for a row is the mean over three crops (upright; rotated by 8° to either side
and 5 % smaller or larger) and their mirror images. Tar files are linked, not copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track

from jvcr.data.table import Table
from jvcr.frames import Crop
from jvcr.locate import locate_many
from jvcr.metrics import normalised_mean_error_3d
from jvcr.runtime.base import Runtime
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

LOOKS = ((0.0, 1.0), (-8.0, 0.95), (8.0, 1.05))
"""In-plane rotation in degrees, and factor of the crop's side."""

EXACT = ("300wlp-ibug",)
"""Sources with exact instead of fitted labels."""

DOUBTFUL = 0.09
"""3D NME between label and prediction above which a row's weight is halved."""


def opinions(table: Table, runtime: Runtime) -> NDArray[np.float32]:
    """Test-time augmented predictions, (rows, N, 3) in the frame of ``Sample.points_img``."""
    points = np.zeros_like(table.points)
    for row in track(range(len(table)), description="predicting"):
        sample = table[row]
        work = []
        for turn_deg, factor in LOOKS:
            crop = Crop.from_box(sample.box, runtime.image_size, rule=runtime.crop_rule)
            side_px = factor * crop.side_px
            work.append((sample.image, Crop(crop.centre_x, crop.centre_y, side_px, crop.size_px, turn_deg)))
        points[row] = np.mean([face.points_img for face in locate_many(runtime, iter(work))], axis=0)
    return points


def added(labels: dict[str, NDArray[Any]], folder: Path) -> dict[str, NDArray[Any]]:
    """Labels with the ``train`` rows of a second table appended, limited to the arrays that the first one has.

    Arrays that the second one lacks are unknown there.
    """
    with np.load(folder / "labels.npz") as file:
        more = dict(file)
    kept = more["split"] == "train"
    if held_out := set(more["group"][kept].tolist()) & set(labels["group"][labels["split"] == "val"].tolist()):
        raise SystemExit(f"{folder}: group {min(held_out)} is in split val of the first table")
    more["kind"] = np.full(len(kept), folder.name)

    def rows(name: str, values: NDArray[Any]) -> NDArray[Any]:
        if name not in more:
            unknown = {"f": np.nan, "i": -1, "U": ""}[values.dtype.kind]
            return np.full((int(kept.sum()), *values.shape[1:]), unknown, values.dtype)
        return more[name][kept].astype(values.dtype) if values.dtype.kind == "f" else more[name][kept]

    return {name: np.concatenate([values, rows(name, values)]) for name, values in labels.items()}


def main(
    data: Path,
    out: Path,
    without: Annotated[Path | None, typer.Option(help="File with the names of rows to drop, one per line.")] = None,
    add: Annotated[Path | None, typer.Option(help="A table whose training rows are added (`jvcr data turn`).")] = None,
    weights: Annotated[str | None, typer.Option(help="Network that predicts: a name, or an ONNX file.")] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the prediction in fitted labels.")] = 0.5,
    share_exact: Annotated[float, typer.Option(min=0, max=1, help="Share of the prediction in exact labels.")] = 0.25,
) -> None:
    with np.load(data / "labels.npz") as file:
        labels = dict(file)
    names = set(without.read_text(encoding="utf-8").split()) if without else set()
    kept = ~(np.isin(labels["id"], list(names)) & (labels["split"] == "train"))
    if (missing := len(names) - int((~kept).sum())) > 0:
        raise SystemExit(f"{without}: {missing} of its {len(names)} names are not rows of split train in {data}")
    labels = {name: values[kept] if len(values) == len(kept) else values for name, values in labels.items()}
    if weights is not None:
        table = Table(data, "train")
        place = {name: row for row, name in enumerate(table.names)}
        rows = np.flatnonzero(labels["split"] == "train")
        said = opinions(table, MirrorAveraged(OnnxRuntime(weights_path(weights))))
        said = said[[place[name] for name in labels["id"][rows].tolist()]]
        said[..., 2] *= -1  # stored towards the camera
        part = np.where(np.isin(labels["source"][rows], EXACT), share_exact, share)[:, None, None]
        stored = labels["points"][rows]
        doubtful = normalised_mean_error_3d(said, stored) > DOUBTFUL
        labels["points"][rows] = ((1 - part) * stored + part * said).astype(np.float32)
        labels["weight"][rows[doubtful]] *= 0.5
        print(f"{len(rows)} labels mixed, {doubtful.sum()} of them doubtful")
    out.mkdir(parents=True, exist_ok=True)
    links = {path.name: path for path in (*data.glob("*.tar"), *data.glob("detect_labels.npz"))}
    if add is not None:
        labels = added(labels, add)
        links |= {f"added-{path.name}": path for path in add.glob("*.tar")}
    np.savez(out / "labels.npz", **labels)
    for name, path in links.items():
        (out / name).unlink(missing_ok=True)
        (out / name).symlink_to(path.resolve())
    print(f"{len(labels['id'])} rows → {out}")


if __name__ == "__main__":
    typer.run(main)
