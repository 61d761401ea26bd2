"""Videos in, videos out, by PyAV (extra ``video``): timestamps, rotation and sound are kept."""

from __future__ import annotations

import contextlib
import io
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from jvcr.extras import missing
from jvcr.files import cannot_write, check_name, check_regular
from jvcr.images import MAX_PIXELS, Image
from jvcr.io.outputs import growing

_TIME_BASE = Fraction(1, 90_000)
"""Time base of the videos we write: fine enough for any frame rate."""

MOST_DAMAGED = 100
"""Stop reading after this many damaged packets in a row: about four seconds of video."""

_MISSING_S = 0.25
"""A file is cut off if its frames end this long before its stated end. Durations are rounded, and the last frame may
have none."""

_MISSING_CONTAINER_S = 2.0
"""The tolerance when only the whole file states a length, because its sound may be longer than its video."""

_PLAYLISTS = frozenset({"hls", "concat", "concatf", "dash", "imf", "applehttp"})
"""Formats that list other files. They are refused for files on disk, because a file may come from anywhere."""

_FLUSH_S = 0.5
"""Length of video that is not yet on disk; sound may wait equally long for its video."""

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""File name endings of the videos we write, and FFmpeg's names of their formats."""


@dataclass(frozen=True)
class VideoFrame:
    """index: from 0. time_s: since the first frame. image: (H, W, 3) uint8 RGB, upright as a player shows it."""

    index: int
    time_s: float
    image: Image


class VideoSource:
    """The frames of a file, a camera or a stream, once.

    Args:
        source: path, URL (``rtsp://…``), or a camera's number (on Linux that of ``/dev/video0``).
        audio: also keep the sound's packets, for ``VideoSink``.
    Attributes:
        frames: number of frames that the file states; 0 if it states none.
        failure: the error that stopped the stream early; None if it was read to its end.
        damaged: number of packets that could not be decoded and were skipped. Reading stops after ``MOST_DAMAGED`` in a
            row.
    Raises:
        ValueError: the source cannot be opened, has no video stream, is not a regular file, lists other files, or has
            frames larger than ``jvcr.images.MAX_PIXELS``. The message names it.
    """

    def __init__(self, source: str | Path | int, audio: bool = False) -> None:
        av = import_av()
        self.name = f"camera {source}" if isinstance(source, int) else str(source)
        self.failure: str | None = None
        self.damaged = 0
        try:
            if isinstance(source, int):
                self._container: Any = av.open(f"/dev/video{source}", format="v4l2")
            elif _is_url(source):
                # A stream that sends nothing for ten seconds is broken.
                self._container = av.open(str(source), timeout=10.0, metadata_errors="replace")
            else:
                self._container = _open_file(av, Path(source))
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(
                f"{self.name}: cannot be opened as a video ({error.strerror or error}); expected a video file, a "
                "camera's number or a stream's URL"
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise ValueError(f"{self.name}: has no video stream; expected a video")
        self._video: Any = self._container.streams.video[0]
        if self._video.codec_context is None:
            self._container.close()
            raise ValueError(f"{self.name}: its codec is unknown, or the file is damaged; convert it to H.264 first")
        self._video.thread_type = "AUTO"
        width, height = self._video.codec_context.width, self._video.codec_context.height
        if width * height > MAX_PIXELS:
            self._container.close()
            raise ValueError(
                f"{self.name}: its frames have {width} × {height} pixels, over the limit of "
                f"{MAX_PIXELS / 1e6:g} megapixels; reduce it first"
            )
        # A frame may be larger than the file states at its start.
        self._video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        sound = self._container.streams.audio if audio else ()
        self.audio_stream: Any = sound[0] if sound else None
        self.audio_packets: deque[Any] = deque()
        self.frames: int = self._video.frames
        self._start: float | None = None

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, camera or stream."""
        self._container.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        av = import_av()
        index, last_s = 0, -1.0
        rate = float(self._video.average_rate or 25)
        end_s = 0.0
        try:
            for frame in self._decoded():
                # Without timestamps, time is computed from the frame number.
                own = frame.time if frame.time is not None else last_s + 1 / rate
                if self._start is None:
                    self._start = own
                last_s = max(own, last_s)
                end_s = last_s + _length_s(frame, rate)
                yield VideoFrame(index, last_s - self._start, _upright(frame))
                index += 1
        except av.error.FFmpegError as error:
            self.failure = f"{self.name}: the stream broke after frame {index} ({error})"
            return
        missing_s = self._missing_s(end_s, (self.frames - index - self.damaged) / rate) if index else None
        if missing_s is not None:
            whole = f" of {self.frames}" if self.frames > index else ""
            self.failure = (
                f"{self.name}: cut off: its last frame is number {index}{whole}, and the last {missing_s:.1f} s that "
                "it should have are missing"
            )

    def _decoded(self) -> Iterator[Any]:
        """Frames as the decoder returns them; audio packets are queued. Damaged packets are skipped and counted.

        Raises:
            FFmpegError: the stream broke, or too many packets in a row are damaged.
        """
        av = import_av()
        streams = [self._video] if self.audio_stream is None else [self._video, self.audio_stream]
        in_a_row = 0
        packets = self._container.demux(streams)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.stream.type == "audio":
                    if packet.dts is not None:
                        self.audio_packets.append(packet)
                    continue
                frames = packet.decode()
            except (av.error.InvalidDataError, av.error.BufferTooSmallError, av.error.PatchWelcomeError):
                self.damaged += 1
                in_a_row += 1
                if in_a_row >= MOST_DAMAGED:
                    raise
                # A generator that has raised is exhausted. A new one continues from the same position in the file.
                packets = self._container.demux(streams)
                continue
            if frames:
                in_a_row = 0
            yield from frames

    def _missing_s(self, end_s: float, uncounted_s: float) -> float | None:
        """Seconds missing after the end of the last frame; None if nothing is known to be missing.

        Args:
            uncounted_s: total length of the frames that the file states and that were not read.
        """
        # MP4 also counts frames that its edit list drops; AVI's lengths are guessed from the file's size.
        if self._container.format.name == "avi":
            return uncounted_s if uncounted_s > _MISSING_S else None
        start_s = float((self._video.start_time or 0) * self._video.time_base)
        if self._video.duration is not None:
            length_s, allowed_s = float(self._video.duration * self._video.time_base), _MISSING_S
        elif (tagged := _tagged_s(self._video.metadata.get("DURATION"))) is not None:
            # Matroska's tag states the end of the track.
            length_s, allowed_s = tagged - start_s, _MISSING_S
        elif self._container.duration is not None:
            alone = len(self._container.streams) == 1
            length_s = self._container.duration / 1e6
            allowed_s = _MISSING_S if alone else _MISSING_CONTAINER_S
        else:
            return None
        missing_s = start_s + length_s - end_s
        return missing_s if missing_s > allowed_s else None

    @property
    def start_s(self) -> float:
        """Timestamp of the first frame on the source's own clock; 0 before that frame is read."""
        return self._start or 0.0


class VideoSink:
    """Writes an H.264 video with the given timestamps and the source's sound. Close it, or use ``with``.

    The file on disk is playable at any moment, except for its last second: it is written in fragments (MP4, MOV) or
    clusters (Matroska) of half a second. Closing turns a fragmented MP4 into an ordinary one.

    Args:
        path: ends in ``.mp4``, ``.mov`` or ``.mkv``.
        source: whose sound is kept, if it was opened with ``audio``.
        overwrite: replace an existing file. The new one grows beside it, as ``NAME.part.mp4``, and replaces it when
            closed.
    Raises:
        ValueError: another ending. ExistingResults: the file exists, and ``overwrite`` is False.
        CannotWrite: writing failed, for example because the disk is full.
    """

    def __init__(self, path: Path, source: VideoSource, overwrite: bool = False) -> None:
        if path.suffix.lower() not in _FORMATS:
            raise ValueError(f"{path}: expected a video ending in .mp4, .mov or .mkv")
        self._av, self._source, self._path = import_av(), source, path
        self._stack = contextlib.ExitStack()
        with self._stack:
            place = self._stack.enter_context(growing(path, overwrite=overwrite))
            self._file = self._stack.enter_context(_Written(path, place))
            self._container: Any = self._av.open(
                self._file, "w", format=_FORMATS[path.suffix.lower()], container_options=_container_options(path)
            )
            # After an error, everything opened so far is closed here; otherwise ``close`` does it.
            self._stack = self._stack.pop_all()
        self._stream: Any = None
        self._audio: Any = None
        self._last_pts = -1
        self._closed = False

    def __enter__(self) -> VideoSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # The first of two errors is more informative.
        with contextlib.suppress(OSError) if isinstance(error, OSError) else contextlib.nullcontext():
            self._close(error)

    def write(self, image: Image, time_s: float) -> None:
        """Write a frame, (H, W, 3) uint8 RGB of the first frame's size, at its time.

        Raises:
            CannotWrite: writing failed, for example because the disk is full.
        """
        with self._naming():
            self._write(image, time_s)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Report the file's own error, with its name, in place of the one FFmpeg made of it."""
        try:
            yield
        except (OSError, self._av.error.FFmpegError) as error:
            if self._file.failure is None and not isinstance(error, OSError):
                raise
            raise cannot_write(self._path, self._file.failure or error) from error

    def _write(self, image: Image, time_s: float) -> None:
        height, width = image.shape[:2]
        if self._stream is None:
            # Zero latency: otherwise x264 buffers up to forty frames, which are lost if the process is killed.
            options = {"crf": "20", "preset": "veryfast", "tune": "zerolatency"}
            self._stream = self._container.add_stream("libx264", rate=30, options=options)
            # The codec needs even sides.
            self._stream.width, self._stream.height = width + width % 2, height + height % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = _TIME_BASE
            if self._source.audio_stream is not None:
                self._audio = self._container.add_stream_from_template(self._source.audio_stream)
        padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        # Timestamps must increase.
        self._last_pts = frame.pts = max(round(time_s / _TIME_BASE), self._last_pts + 1)
        frame.time_base = _TIME_BASE
        self._container.mux(self._stream.encode(frame))
        self._write_audio()

    def _write_audio(self) -> None:
        while self._audio is not None and self._source.audio_packets:
            packet = self._source.audio_packets.popleft()
            shift = round(self._source.start_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.dts < 0:
                continue
            packet.stream = self._audio
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file.

        Raises:
            CannotWrite: writing failed, for example because the disk is full.
        """
        self._close(None)

    def _close(self, error: BaseException | None) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with self._naming():
                # After a failed write (a full disk, for example), keep what is on disk.
                if self._stream is not None and not isinstance(error, OSError):
                    self._container.mux(self._stream.encode(None))
                    self._write_audio()
                self._container.close()
            if self._stream is None and error is None:
                error = ValueError(f"{self._path}: not written, because there was no frame")
        except BaseException as late:
            self._stack.__exit__(type(late), late, late.__traceback__)
            raise
        if error is None:
            self._stack.close()
        else:
            # An incomplete file replaces no other file.
            self._stack.__exit__(type(error), error, error.__traceback__)


class _Written(io.RawIOBase):
    """A file for FFmpeg to write to. It keeps the original error, of which FFmpeg only reports a number.

    Args:
        path: for messages. place: the file to write.
    """

    def __init__(self, path: Path, place: Path) -> None:
        self._path, self._file = path, place.open("r+b", buffering=0)
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.failure = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


def _container_options(path: Path) -> dict[str, str]:
    """FFmpeg options that keep the file playable if the writing process dies."""
    common = {"flush_packets": "1", "max_interleave_delta": str(round(1e6 * _FLUSH_S))}
    if path.suffix.lower() == ".mkv":
        return common | {"cluster_time_limit": str(round(1e3 * _FLUSH_S))}
    return common | {
        "movflags": "hybrid_fragmented+frag_keyframe+default_base_moof",
        "frag_duration": str(round(1e6 * _FLUSH_S)),
    }


def _is_url(source: str | Path) -> bool:
    return isinstance(source, str) and "://" in source and not Path(source).exists()


def _open_file(av: Any, path: Path) -> Any:
    """Open a file on disk, even with colons in its name. Nothing that it refers to is fetched from a network."""
    check_name(path)
    check_regular(path, path.stat().st_mode)
    container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    if _PLAYLISTS & set(container.format.name.split(",")):
        container.close()
        raise ValueError(f"{path}: is a list of other files, not a video; give one of those files")
    return container


def _length_s(frame: Any, rate: float) -> float:
    duration = getattr(frame, "duration", None)
    return float(duration * frame.time_base) if duration and frame.time_base else 1 / rate


def _tagged_s(text: str | None) -> float | None:
    """Matroska's ``00:01:02.500000000``, converted to seconds."""
    try:
        hours, minutes, seconds = (text or "").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None


def import_av() -> Any:
    """PyAV; raises MissingExtra without it."""
    try:
        import av
        import av.error
    except ModuleNotFoundError as error:
        raise missing("video", error) from error
    return av


def _upright(frame: Any) -> Image:
    image = frame.to_ndarray(format="rgb24")
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
