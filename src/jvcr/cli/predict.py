"""``jvcr predict``: landmarks of the faces in photos."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import PIL.Image
import typer
from rich.progress import Progress

from jvcr.cli.console import fail, log, printable
from jvcr.cli.convert import report_left_out
from jvcr.cli.options import (
    BackendOption,
    DetectorOption,
    DetectSizeOption,
    DeviceOption,
    MinScoreOption,
    MirrorOption,
    OverwriteOption,
    PrecisionOption,
    RefineOption,
    ThreadsOption,
    WeightsOption,
    chosen_landmarker,
    weights_file,
)
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.draw.page import import_plotly
from jvcr.images import MAX_PIXELS, Image, read_image, write_image
from jvcr.io.boxes import GivenBoxes
from jvcr.io.exports import FORMATS, FormatName, PhotoFaces, format_of, write_export
from jvcr.io.lines import Done, Earlier, drop_lines, json_lines, read_earlier, source_entry
from jvcr.io.outputs import ExistingResults, check_outputs, spelling
from jvcr.io.photos import find_photos
from jvcr.io.read_results import photo_faces
from jvcr.io.records import photo_record
from jvcr.landmarker import MIN_SCORE
from jvcr.results import Face
from jvcr.runtime.backends import Backend

_DEFAULT_OUT = Path("jvcr-out")


def predict(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO…", help="Photos, folders of photos, or globs.")],
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Landmark boxes: JSON {photo: [\\[x0, y0, x1, y1], …]} or CSV lines photo,x0,y0,x1,y1. "
            "Photos are named by path or file name; a photo that is not listed gets no faces."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures and pages.")] = _DEFAULT_OUT,
    json_to: Annotated[
        str | None,
        typer.Option(
            "--json", "--jsonl", metavar="FILE|-", help="Write JSON lines, one object per photo; - is stdout."
        ),
    ] = None,
    draw: Annotated[bool, typer.Option("--draw", help="Write each photo with its landmarks drawn.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write a 3D page for each photo (extra: demo).")] = False,
    formats: Annotated[
        list[FormatName] | None,
        typer.Option(
            "--format",
            help="Write this format to --out; may be repeated (docs/exports.md). obj, ply, glb, pts: a file for each "
            "photo. The others: one file for all photos, landmarks.csv, ….",
        ),
    ] = None,
    weights: WeightsOption = "small",
    detector: DetectorOption = DetectorName.OWN,
    detect_size: DetectSizeOption = DETECT_SIZE,
    min_score: MinScoreOption = MIN_SCORE,
    refine: RefineOption = True,
    mirror: MirrorOption = True,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = 0,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1, help="Refuse larger photos (width × height). A photo takes up to 7 bytes of memory per pixel."
        ),
    ] = MAX_PIXELS,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume: skip photos that --json FILE already contains, unless their size or time of change differs.",
        ),
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Find faces and predict their landmarks in 3D: 68 points, or those of the weights' own markup.

    Without --json, --draw, --html and --format, pictures and landmarks.jsonl are written to the --out folder. If
    results already exist, the run refuses, unless you give --resume or --overwrite.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite are both given; give one of them")
    kinds = list(dict.fromkeys(formats or ()))
    tables = [kind for kind in kinds if FORMATS[kind].many is not None]
    if resume and tables:
        raise ValueError(
            f"--resume with --format {tables[0]}: the file needs the faces of the earlier run, too; leave the option "
            f"out, then run: jvcr convert {json_to or 'RESULTS.jsonl'} OUT{FORMATS[tables[0]].ending}"
        )
    if json_to is None and not draw and not html and not kinds:
        draw, json_to = True, str(out / "landmarks.jsonl")
    if html:
        import_plotly()
    for kind in kinds:
        FORMATS[kind].needs()
    given = GivenBoxes.read(boxes) if boxes else None
    paths, problems = find_photos(photos)
    for problem in problems:
        fail(problem)
    failures = len(problems)
    PIL.Image.MAX_IMAGE_PIXELS = max(PIL.Image.MAX_IMAGE_PIXELS or 0, max_pixels)
    results = _Results(out, draw, html, [FORMATS[kind].ending for kind in kinds if kind not in tables])
    inputs = [*paths, boxes, weights_file(weights)]
    earlier = _earlier(json_to, paths, results, inputs) if resume else None
    plan = results.plan(paths, earlier.records if earlier else {})
    table_paths = {kind: out / f"landmarks{FORMATS[kind].ending}" for kind in tables}
    targets = [
        ("--json", json_to),
        *(("--out", path) for work in plan for path in work.targets),
        *(("--format", path) for path in table_paths.values()),
    ]
    try:
        check_outputs(targets, inputs, may_replace=overwrite or _own(json_to, earlier, out))
    except ExistingResults as error:
        raise ValueError(
            f"{error}; nothing was written: go on with --resume (it needs --json), replace it with --overwrite, or "
            "choose another place"
        ) from None
    landmarker = chosen_landmarker(
        weights,
        detector,
        detect_size,
        threads,
        min_score=min_score,
        refine=refine,
        mirror=mirror,
        backend=backend,
        device=device,
        precision=precision,
    )
    if earlier is not None and json_to is not None:
        log.print(f"{sum(work.done for work in plan)} of {len(plan)} photos are done already", highlight=False)
        drop_lines(Path(json_to), earlier.dropped)
    done = 0
    exported: list[PhotoFaces] = []
    # On a terminal the summaries show the progress, and a bar would overwrite them.
    hide_bar = len(paths) < 2 or (sys.stdout is not None and sys.stdout.isatty())
    with (
        json_lines(json_to, overwrite=overwrite, append=earlier is not None) as lines,
        Progress(console=log, transient=True, disable=hide_bar) as progress,
    ):
        for work in progress.track(plan, description="photos"):
            path, own = work.photo, given.of(work.photo) if given else None
            if work.done:
                continue
            try:
                # Taken before the photo is read, so that a change in between counts as one.
                source = source_entry(path)
                image = read_image(path, max_pixels)
                faces = landmarker.predict(image, own, volumes=html)
            except (ValueError, OSError, RuntimeError, MemoryError, cv2.error) as error:
                failures += 1
                fail(str(error) if str(path) in str(error) else f"{path}: {error or type(error).__name__}")
                continue
            written = [target for target in work.targets if faces or not _needs_face(target)]
            record = photo_record(str(path), image, faces)
            if json_to != "-":
                record |= {"source": source}
                record |= {"written": [target.name for target in written]} if written else {}
            # What cannot be written ends the run: the next photo could not be written either. First the line, then the
            # pictures that it names: what is there and in no line is not ours.
            if lines is not None:
                lines.write(json.dumps(record) + "\n")
                lines.flush()
            write_results(written, image, faces, work.title, str(path))
            if kinds:
                # Without volumes, a face takes 2 kB.
                exported.append(photo_faces(str(path), image, [replace(face, volume=None) for face in faces]))
            done += 1
            if json_to != "-":
                typer.echo(summary(str(path), faces, written))
    for kind, path in table_paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_export(path, exported, kind)
        typer.echo(f"→ {printable(str(path))}", err=json_to == "-")
    for kind in kinds:
        report_left_out(kind, exported)
    for name in given.unused() if given else ():
        failures += 1
        fail(f"{boxes}: {name} is none of the photos")
    if failures:
        log.print(f"{failures} failed, {done} done", highlight=False)
        raise typer.Exit(1)


def _earlier(
    json_to: str | None, paths: Sequence[Path], results: _Results, inputs: Sequence[Path | str | None]
) -> Earlier | None:
    """Records of an earlier run's file; None if there is no such file."""
    if json_to is None or json_to == "-":
        raise ValueError("--resume needs the records of an earlier run; give --json FILE")
    file = Path(json_to)
    if not file.exists():
        return None
    check_outputs({"--json": json_to}, inputs)
    if not file.is_file():
        raise ValueError(f"--json {json_to}: not a regular file, so --resume cannot read earlier records from it")
    wanted = {str(path): path for path in paths}

    def is_done(name: str, entry: Done) -> bool | None:
        if name not in wanted:
            return None
        return _is_unchanged(wanted[name], entry) and results.are_there(entry)

    return read_earlier(file, is_done)


def _own(json_to: str | None, earlier: Earlier | None, out: Path) -> set[Path]:
    """Files of an earlier run that this one may replace."""
    if earlier is None or json_to is None:
        return set()
    return {Path(json_to), *(out / name for entry in earlier.records.values() for name in entry.written)}


@dataclass(frozen=True)
class _Work:
    """photo: file to read. title: its name in the results. targets: files to write. done: by an earlier run."""

    photo: Path
    title: str
    targets: list[Path]
    done: bool


class _Results:
    """Names of pictures and pages in one folder. Photos of the same name get different ones."""

    def __init__(self, folder: Path, draw: bool, html: bool, exports: Sequence[str] = ()) -> None:
        self._folder = folder
        self._endings = ["_landmarks.jpg"] * draw + ["_3d.html"] * html + list(exports)

    def are_there(self, entry: Done) -> bool:
        """Whether all results of a photo were written, and still exist."""
        kinds = {ending for ending in self._endings for name in entry.written if name.endswith(ending)}
        return len(kinds) == len(self._endings) and all((self._folder / name).is_file() for name in entry.written)

    def plan(self, photos: Sequence[Path], earlier: dict[str, Done]) -> list[_Work]:
        """One piece of work per photo, in order. Photos of an earlier run keep their names."""
        names = {photo: self._earlier_name(earlier.get(str(photo))) for photo in photos}
        used = {spelling(name) for name in names.values() if name is not None}
        plan = []
        for photo in photos:
            name, number = names[photo], 2
            if name is None:
                name = photo.stem
                while spelling(name) in used:
                    name, number = f"{photo.stem}_{number}", number + 1
                used.add(spelling(name))
            entry = earlier.get(str(photo))
            same = entry is not None and _is_unchanged(photo, entry) and self.are_there(entry)
            plan.append(_Work(photo, name, [] if same else list(self.targets(name)), same))
        return plan

    def targets(self, name: str) -> Iterator[Path]:
        return (self._folder / f"{name}{ending}" for ending in self._endings)

    def _earlier_name(self, entry: Done | None) -> str | None:
        for name in entry.written if entry else ():
            for ending in _ENDINGS:
                if name.endswith(ending):
                    return name.removesuffix(ending)
        return None


_ENDINGS = ("_landmarks.jpg", "_3d.html", *(form.ending for form in FORMATS.values() if form.one is not None))
"""Endings of the files that are made of one photo."""


def _needs_face(target: Path) -> bool:
    """Whether a file cannot be written for a photo without a face."""
    return any(target.name.endswith(form.ending) and form.best_only for form in FORMATS.values())


def _is_unchanged(photo: Path, entry: Done) -> bool:
    return source_entry(photo) == {"bytes": entry.size, "modified_ns": entry.modified_ns}


def write_results(targets: Sequence[Path], image: Image, faces: list[Face], title: str, name: str = "") -> None:
    """Write pictures (``.jpg``), pages (``.html``) and exports, each completely or not at all.

    Args:
        name: of the photo, for exports.
    """
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".html":
            from jvcr.draw.page import write_html

            write_html(target, image, faces, title)
        elif target.suffix != ".jpg":
            write_export(target, [photo_faces(name, image, faces)], format_of(target))
        else:
            from jvcr.draw.landmarks import draw_faces

            write_image(target, draw_faces(image, faces))


def summary(name: str, faces: list[Face], written: Sequence[Path]) -> str:
    """A readable summary of a photo."""
    lines = [f"{printable(name)}: {len(faces)} face{'' if len(faces) == 1 else 's'}"]
    for number, face in enumerate(faces, 1):
        b = face.box
        line = f"  {number}  box ({b.x0:.0f}, {b.y0:.0f}) to ({b.x1:.0f}, {b.y1:.0f})  score {face.score:.2f}"
        if face.has_pose:
            pose = face.pose
            line += f"  yaw {pose.yaw_deg:+.0f}°  pitch {pose.pitch_deg:+.0f}°  roll {pose.roll_deg:+.0f}°"
        lines.append(line)
    lines += [f"  → {printable(str(path))}" for path in written]
    return "\n".join(lines)
