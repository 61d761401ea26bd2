"""Train and use the tiny network for several markups of one table: ``python examples/any_markup.py DATA OUT``.

DATA is a training table of 68 points (docs/datasets.md). For every markup, the script trains, exports to ONNX,
evaluates on the validation rows, and writes a photo with the landmarks, a 3D page and a JSON line. Prints a Markdown
table.

For all markups, NME is normalised by sqrt(w·h) of the box around the 68 true points, so that rows can be compared. The
points themselves differ: a point on the cheek is harder to place than an eye corner. So one column is the NME on the
21 points that all three markups contain.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.data.derive import derived, derived_points
from jvcr.data.table import Table
from jvcr.draw.landmarks import draw_faces
from jvcr.draw.page import write_html
from jvcr.evaluate.errors import LandmarkErrors
from jvcr.export.onnx import export_checked
from jvcr.frames import Crop
from jvcr.images import write_image
from jvcr.locate import locate_many
from jvcr.markups.file import markup_from
from jvcr.markups.markup import MARKUP_68, Markup
from jvcr.metrics import yaw_table
from jvcr.model.checkpoint import load_weights
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.train.data.backgrounds import read_backgrounds
from jvcr.train.landmarks import LandmarkTask
from jvcr.train.loop import Loop, Progress
from jvcr.train.recipes import RECIPES

FACE_BOX = [179.0, 87.0, 269.0, 178.0]
"""Box of the astronaut's face, read off the photo."""


class Printer:
    """Listens to the training and prints validations."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_progress(self, progress: Progress) -> None: ...

    def on_validation(self, samples: int, result: LandmarkErrors) -> None:
        print(f"{self.name}: {samples} crops: {result}", flush=True)


def errors(predicted_img: np.ndarray, target_img: np.ndarray, box_of: np.ndarray) -> np.ndarray:
    """(B,) mean 2D distance, divided by sqrt(w·h) of the box around ``box_of`` (B, 68, 3)."""
    size = np.sqrt(np.ptp(box_of[..., :2], axis=1).prod(axis=-1))
    return np.linalg.norm((predicted_img - target_img)[..., :2], axis=-1).mean(axis=1) / size


def to_21(points: np.ndarray, markup: Markup, few: Markup) -> np.ndarray | None:
    """(B, N, 3) → the 21 points, if the markup contains the 68 points or is the 21; otherwise None."""
    if markup == few:
        return points
    if markup.name == "synthetic-200":
        points, markup = points[:, :68], MARKUP_68  # its first points are the 68
    return derived_points(points, markup, few) if markup == MARKUP_68 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--markups", nargs="+", default=["21", "68", "200"], help="names or markup files")
    parser.add_argument("--samples", type=int, default=20_000, help="training crops per markup")
    arguments = parser.parse_args()
    train, val, backgrounds = (
        Table(arguments.data, "train"),
        Table(arguments.data, "val"),
        read_backgrounds(arguments.data),
    )
    few = markup_from("21")
    config = replace(RECIPES["tiny"].scaled_to(arguments.samples), validate_every=max(1, arguments.samples // 4))
    rows = []
    for name in arguments.markups:
        markup = markup_from(name)
        out = arguments.out / markup.name
        started = time.monotonic()
        task = LandmarkTask(config, markup, derived(train, markup), derived(val, markup), backgrounds)
        Loop(task, out, Printer(markup.name)).run()
        seconds = time.monotonic() - started
        model, header = load_weights(out / "model.safetensors")
        export_checked(model, header, out / "model.onnx")

        runtime, truth = OnnxRuntime(out / "model.onnx"), derived(val, markup)
        samples = [truth[row] for row in range(len(truth))]
        work = ((sample.image, Crop.from_box(sample.box, runtime.image_size)) for sample in samples)
        predicted = np.stack([face.points_img for face in locate_many(runtime, work)])
        own = yaw_table(errors(predicted, truth.points, val.points), val.yaw_deg)
        shared = to_21(predicted, markup, few)
        on_21 = "–"
        if shared is not None:
            on_21 = f"{100 * errors(shared, derived(val, few).points, val.points).mean():.2f}"
        weights = sum(p.numel() for p in model.parameters())
        bins = " / ".join(f"{100 * value:.2f}" for value in own.bins)
        figures = (f"{weights:,}", bins, f"{100 * own.image_mean:.2f}", on_21, f"{seconds:.0f}")
        rows.append(f"| {markup.name} | {markup.n_points} | {' | '.join(figures)} |")

        landmarker, photo = Landmarker(out / "model.onnx"), astronaut()
        faces = landmarker.predict(photo, [FACE_BOX])
        write_image(out / "astronaut.jpg", draw_faces(photo, faces))
        write_html(out / "astronaut.html", photo, faces, markup.name)
        (out / "astronaut.json").write_text(json.dumps(faces[0].to_dict(names=True)), encoding="utf-8")
    print(f"\n{arguments.samples} training crops, {len(val)} validation faces, NME in %\n")
    print("| markup | N | weights | NME by yaw | mean over images | NME on the 21 points | training, s |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
