"""``jvcr video``: landmarks in a video, or from a camera or a stream."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jvcr.cli.console import fail, log, printable
from jvcr.cli.options import (
    BackendOption,
    DetectorOption,
    DetectSizeOption,
    DeviceOption,
    MirrorOption,
    OverwriteOption,
    PrecisionOption,
    ThreadsOption,
    WeightsOption,
    chosen_landmarker,
    weights_file,
)
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.draw.landmarks import draw_faces
from jvcr.files import write_text
from jvcr.io.lines import json_lines
from jvcr.io.outputs import ExistingResults, check_outputs
from jvcr.io.records import frame_record
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.backends import Backend
from jvcr.video.blinks import EyeState
from jvcr.video.eyes import EyesOfFaces
from jvcr.video.files import VideoSink, VideoSource
from jvcr.video.osc import OscSink
from jvcr.video.track import TrackedFrame, Tracker


def video(
    source: Annotated[str, typer.Argument(help="Video file, camera number (0, 1, …), or a stream's URL (rtsp://…).")],
    out: Annotated[Path | None, typer.Option(help="Write the video with landmarks: .mp4, .mov or .mkv.")] = None,
    json_to: Annotated[
        str | None,
        typer.Option(
            "--json", "--jsonl", metavar="FILE|-", help="Write JSON lines, one object per frame; - is stdout."
        ),
    ] = None,
    osc: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Send head pose, expression and blinks as OSC and VMC messages over UDP (extra: osc; docs/video.md).",
        ),
    ] = None,
    eyes_to: Annotated[
        Path | None,
        typer.Option(
            "--eyes",
            metavar="FILE",
            help="Write blinks, long closures and PERCLOS of each face as JSON, and add the eyes to --json's lines.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the video while it is processed; q quits.")] = False,
    smooth: Annotated[
        float, typer.Option(min=0, max=1, help="Smoothing: 0 gives each frame's own landmarks, 1 the steadiest.")
    ] = 0.5,
    detect_every: Annotated[float, typer.Option(min=0, help="Seconds between detections in the whole frame.")] = 1.0,
    most_faces: Annotated[int, typer.Option(min=1, help="Track at most this many faces, the largest ones.")] = 16,
    seconds: Annotated[float, typer.Option(min=0, help="Stop after this much of the video.")] = math.inf,
    weights: WeightsOption = "small",
    detector: DetectorOption = DetectorName.OWN,
    detect_size: DetectSizeOption = DETECT_SIZE,
    mirror: MirrorOption = False,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Track the faces of a video: 3D landmarks with an identity for each face, smoothed over time.

    Without --out, --json, --osc, --eyes and --show, FILE_landmarks.mp4 and FILE_landmarks.jsonl are written beside the
    file. If results already exist, the run refuses, unless you give --overwrite.
    """
    opened: str | int = int(source) if source.isdigit() and not Path(source).exists() else source
    if out is None and json_to is None and osc is None and eyes_to is None and not show:
        stem = Path(f"camera{source}" if isinstance(opened, int) or "://" in source else source).with_suffix("")
        out, json_to = Path(f"{stem}_landmarks.mp4"), f"{stem}_landmarks.jsonl"
    _check_numbers(smooth=smooth, detect_every=detect_every, seconds=seconds)
    try:
        inputs = [None if isinstance(opened, int) else source, weights_file(weights)]
        check_outputs({"--out": out, "--json": json_to, "--eyes": eyes_to}, inputs, may_replace=overwrite)
    except ExistingResults as error:
        raise ValueError(
            f"{error}; nothing was written: replace it with --overwrite, or choose another place (a film is not "
            "continued in the middle)"
        ) from None
    landmarker = chosen_landmarker(
        weights, detector, detect_size, threads, mirror=mirror, backend=backend, device=device, precision=precision
    )
    if eyes_to is not None and landmarker.markup.name != MARKUP_68.name:
        raise ValueError(
            f"--eyes needs weights with the landmarks {MARKUP_68.name!r}; {weights} has {landmarker.markup.name!r}: "
            "leave the option out, or choose other weights"
        )
    tracker = Tracker(landmarker, smooth, detect_every, most_faces=most_faces)
    eyes = EyesOfFaces()
    frames, started = 0, time.monotonic()
    with contextlib.ExitStack() as stack:
        messages = stack.enter_context(OscSink(osc)) if osc is not None else None
        reader = stack.enter_context(VideoSource(opened, audio=out is not None))
        sink = stack.enter_context(VideoSink(out, reader, overwrite)) if out is not None else None
        lines = stack.enter_context(json_lines(json_to, overwrite=overwrite))
        progress = stack.enter_context(_bar())
        task = progress.add_task("frames", total=reader.frames or None, rate="")
        stopped = stack.enter_context(_stopping())
        for frame in itertools.takewhile(lambda f: f.time_s <= seconds, reader):
            seen = tracker.frame(frame)
            states = eyes(seen) if messages is not None or eyes_to is not None else {}
            if lines is not None:
                lines.write(json.dumps(_record(seen, states if eyes_to is not None else {})) + "\n")
                lines.flush()
            if messages is not None:
                messages.send(seen, states)
            faces = [tracked.face for tracked in seen.faces]
            drawn = draw_faces(frame.image, faces, enlarge=False) if sink or show else frame.image
            if sink is not None:
                sink.write(drawn, frame.time_s)
            frames += 1
            progress.update(task, completed=frames, rate=f"{frames / (time.monotonic() - started):.0f} frames/s")
            if stopped.is_set() or (show and _shown(drawn)):
                break
    rate = frames / max(time.monotonic() - started, 1e-9)
    log.print(f"{frames} frames, {rate:.1f} a second, {tracker.searches} searches", highlight=False)
    if eyes_to is not None:
        write_eyes(eyes_to, eyes, overwrite)
        for line in eye_lines(eyes):
            log.print(line, highlight=False)
    for path in (out, None if json_to == "-" else json_to, eyes_to):
        if path is not None:
            typer.echo(f"→ {printable(str(path))}", err=json_to == "-")
    if stopped.is_set():
        log.print("interrupted; the video written so far can be played", highlight=False)
        raise typer.Exit(130)
    failed = False
    if reader.damaged:
        fail(f"{reader.name}: {reader.damaged} damaged packets were skipped")
        failed = True
    if reader.failure is not None:
        fail(f"{reader.failure}; everything before that was written")
        failed = True
    if not frames:
        fail(f"{reader.name}: contains no frame")
        failed = True
    if failed:
        raise typer.Exit(1)


def _check_numbers(**numbers: float) -> None:
    """NaN passes every comparison, and so typer's bounds too."""
    for name, value in numbers.items():
        if math.isnan(value):
            raise ValueError(f"--{name.replace('_', '-')} is nan; expected a number")


def _record(frame: TrackedFrame, states: Mapping[int, EyeState]) -> dict[str, Any]:
    eyes = {identity: state.to_dict() for identity, state in states.items()}
    return frame_record(frame.index, frame.time_s, frame.image, [(f.identity, f.face) for f in frame.faces], eyes)


def write_eyes(path: Path, eyes: EyesOfFaces, overwrite: bool) -> None:
    """Write the file of ``--eyes``, completely or not at all.

    Raises:
        ExistingResults: it has appeared since the run began, and may not be replaced.
        CannotWrite: it cannot be written (a full disk, for example).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and not overwrite:
        raise ExistingResults(f"{path}: already exists")
    write_text(path, json.dumps(eyes.to_dict(), indent=1) + "\n")


def eye_lines(eyes: EyesOfFaces) -> Iterator[str]:
    """A readable line for each face."""
    limit_s = eyes.limits.blink_s
    for identity, face in eyes.summaries().items():
        if face.perclos is None:
            yield f"face {identity}: eyes unknown (never two frames in a row within {eyes.max_yaw_deg:.0f}° of yaw)"
            continue
        line = f"face {identity}: {_count(len(face.blinks), 'blink')}, {len(face.long_closures)} over {limit_s:g} s"
        if face.long_closures:
            line += f" (longest {max(closure.duration_s for closure in face.long_closures):.1f} s)"
        line += f", PERCLOS {100 * face.perclos:.1f} %, {face.known_s:.1f} s known, {face.unknown_s:.1f} s unknown"
        yield line + (f"; at {face.frames_per_s:.0f} frames/s, short blinks are missed" if face.is_slow else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Ctrl-C, SIGTERM and a closed terminal set the event, so the current frame is finished. A second Ctrl-C or SIGTERM
    ends at once."""
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        if number == hangup:
            # The terminal accepts no output any more, so every write would be an error.
            for terminal in terminals:
                with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path
                    os.dup2(nowhere.fileno(), terminal)
        elif asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    hangup = getattr(signal, "SIGHUP", None)
    # Checked now, because a terminal that is gone no longer counts as one.
    terminals = [number for number in (1, 2) if os.isatty(number)]
    numbers = [signal.SIGINT, signal.SIGTERM]
    # A run started with nohup continues without a terminal.
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}  {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=log,
        transient=True,
    )


def _shown(image: Any) -> bool:
    """Show a frame; True when q was pressed.

    Raises:
        RuntimeError: OpenCV was built without GUI support.
    """
    import cv2

    try:
        cv2.imshow("jvcr", image[:, :, ::-1])
        return bool(cv2.waitKey(1) & 0xFF == ord("q"))
    except cv2.error as error:
        raise RuntimeError(
            "--show needs OpenCV with GUI support, which opencv-python-headless lacks: "
            "pip uninstall opencv-python-headless && pip install 'opencv-python<5'"
        ) from error
