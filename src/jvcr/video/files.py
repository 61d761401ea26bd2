"""Videos in, videos out, by PyAV (extra ``video``): timestamps, rotation and sound are kept."""

from __future__ import annotations

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
from jvcr.images import Image

_TIME_BASE = Fraction(1, 90_000)
"""Of what is written: fine enough for any frame rate."""


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
        frames: how many there are, by the file's own word; 0 where it does not say.
        failure: what ended the stream before its end; None when it came to its end.
    Raises:
        ValueError: it cannot be opened, or has no picture; it is named.
    """

    def __init__(self, source: str | Path | int, audio: bool = False) -> None:
        av = import_av()
        self.name = f"camera {source}" if isinstance(source, int) else str(source)
        self.failure: str | None = None
        try:
            if isinstance(source, int):
                self._container: Any = av.open(f"/dev/video{source}", format="v4l2")
            else:
                # A stream that says nothing for ten seconds has broken.
                self._container = av.open(str(source), timeout=10.0 if "://" in str(source) else None)
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(
                f"{self.name}: cannot be opened as a video ({error}); expected a video file, a camera's "
                "number or a stream's URL"
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise ValueError(f"{self.name}: there is no picture in it; expected a video")
        self._video: Any = self._container.streams.video[0]
        self._video.thread_type = "AUTO"
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
        """Close file, camera or stream."""
        self._container.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        av = import_av()
        index, last_s = 0, -1.0
        streams = [self._video] if self.audio_stream is None else [self._video, self.audio_stream]
        rate = float(self._video.average_rate or 25)
        try:
            for packet in self._container.demux(streams):
                if packet.stream.type == "audio":
                    if packet.dts is not None:
                        self.audio_packets.append(packet)
                    continue
                for frame in packet.decode():
                    # Streams without times count frames.
                    own = frame.time if frame.time is not None else last_s + 1 / rate
                    if self._start is None:
                        self._start = own
                    last_s = max(own, last_s)
                    yield VideoFrame(index, last_s - self._start, _upright(frame))
                    index += 1
        except av.error.FFmpegError as error:
            self.failure = f"{self.name}: the stream broke after frame {index} ({error})"

    @property
    def start_s(self) -> float:
        """Time of the first frame in the source's own count; 0 before it is read."""
        return self._start or 0.0


class VideoSink:
    """Writes an H.264 video, with the times it is given and the source's sound. Close it, or use ``with``: what was
    written until then can be played.

    Args:
        path: ends in ``.mp4``, ``.mov`` or ``.mkv``.
        source: whose sound is kept, if it was opened with ``audio``.
    Raises:
        ValueError: another ending.
    """

    def __init__(self, path: Path, source: VideoSource) -> None:
        if path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
            raise ValueError(f"{path}: expected a video ending in .mp4, .mov or .mkv")
        av = import_av()
        self._av, self._source = av, source
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container: Any = av.open(str(path), "w")
        self._stream: Any = None
        self._audio: Any = None
        self._last_pts = -1

    def __enter__(self) -> VideoSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def write(self, image: Image, time_s: float) -> None:
        """A frame of (H, W, 3) uint8 RGB, of the first one's size, at its time."""
        height, width = image.shape[:2]
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30, options={"crf": "20", "preset": "veryfast"})
            # The codec wants even sides.
            self._stream.width, self._stream.height = width + width % 2, height + height % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = _TIME_BASE
            if self._source.audio_stream is not None:
                self._audio = self._container.add_stream_from_template(self._source.audio_stream)
        padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        # Times must grow.
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
        """Write what is still waiting and close the file; it can be played from then on."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
            self._write_audio()
        self._container.close()
        self._stream = None


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
