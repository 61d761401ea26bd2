"""Head pose and expression as OSC messages over UDP, for live tools (extra ``osc``; docs/video.md).

Each frame is one bundle: messages of our own for every face, and the messages of the VMC protocol for one face, which
VTuber tools understand. Receivers ignore addresses that they do not know.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.arkit import arkit
from jvcr.expression import Expression
from jvcr.extras import missing
from jvcr.frames import px_to_share
from jvcr.results import Face
from jvcr.video.blinks import EyeState
from jvcr.video.track import TrackedFace, TrackedFrame

Message = tuple[str, tuple[int | float | str, ...]]
"""Address and arguments."""


def quaternion(rotation: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """(3, 3) rotation → unit quaternion x, y, z, w with w ≥ 0.

    Example: half a right angle about y, yaw -45, is (0, sin 22.5°, 0, cos 22.5°).
    """
    r = np.asarray(rotation, np.float64)
    # The eigenvector of the largest eigenvalue (Bar-Itzhack 2000): exact for rotations, and stable for all of them.
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    x, y, z, w = np.linalg.eigh(k)[1][:, -1].tolist()
    sign = -1.0 if w < 0 else 1.0
    return sign * x, sign * y, sign * z, sign * w


def own_messages(frame: TrackedFrame, eyes: Mapping[int, EyeState] | None = None) -> Iterator[Message]:
    """``/jvcr/…`` of every face.

    - ``/jvcr/frame``: number, seconds since the first frame, number of faces.
    - ``/jvcr/face/ID/pose``: yaw, pitch, roll in degrees (``jvcr.geometry.HeadPose``).
    - ``/jvcr/face/ID/position``: x, y of the box's middle and its larger side, in shares of the frame's width, height
      and larger side.
    - ``/jvcr/face/ID/expression/NAME``: one number each, for faces that have an expression.
    - ``/jvcr/face/ID/blink``: how far the right and the left eye are closed, 0 to 1; left out while they are unknown.
    - ``/jvcr/face/ID/perclos``: 0 to 1 (docs/video.md).

    Args:
        eyes: states by identity (``jvcr.video.eyes``); None leaves out the last two.
    """
    yield "/jvcr/frame", (frame.index, float(frame.time_s), len(frame.faces))
    height, width = frame.image.shape[:2]
    for tracked in frame.faces:
        face, start = tracked.face, f"/jvcr/face/{tracked.identity}"
        if face.has_pose:
            yield f"{start}/pose", (face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg)
        x, y = face.box.centre
        size = max(face.box.width, face.box.height) / max(width, height)
        yield f"{start}/position", (px_to_share(x, width), px_to_share(y, height), size)
        for name, value in expression_of(face).items():
            yield f"{start}/expression/{name}", (value,)
        state = (eyes or {}).get(tracked.identity)
        if state is not None and (closed := closed_shares(state)) is not None:
            yield f"{start}/blink", closed
        if state is not None and state.perclos is not None:
            yield f"{start}/perclos", (state.perclos,)


def closed_shares(state: EyeState) -> tuple[float, float] | None:
    """How far the right and the left eye are closed, 0 (open) to 1; None if unknown."""
    if state.right is None or state.left is None:
        return None
    return min(max(1 - state.right, 0.0), 1.0), min(max(1 - state.left, 0.0), 1.0)


def vmc_messages(face: Face | None, time_s: float, state: EyeState | None = None) -> Iterator[Message]:
    """The VMC protocol's messages (performer → marionette) of one face; without one, that tracking is lost.

    The bone ``Head`` gets a rotation and no position. VMC has Unity's left-handed axes on the performer: x to their
    right, y up, z forward. These are ours, x to their left, y down, z backward, each reversed. So the rotation matrix
    is the same, and a quaternion is made of it in the same way.

    Blendshapes are sent under our own names, and under ARKit's as VRM models spell them (``EyeBlinkLeft``).

    Args:
        state: of its eyes. With it, blinks are relative to the person's own open eyes.
    """
    if face is None or not face.has_pose:
        yield "/VMC/Ext/OK", (0,)
        yield "/VMC/Ext/T", (float(time_s),)
        return
    yield "/VMC/Ext/OK", (1,)
    yield "/VMC/Ext/T", (float(time_s),)
    yield "/VMC/Ext/Bone/Pos", ("Head", 0.0, 0.0, 0.0, *quaternion(face.pose.rotation))
    values = expression_of(face) | blendshapes(face, state)
    for name, value in values.items():
        yield "/VMC/Ext/Blend/Val", (name, value)
    if values:
        yield "/VMC/Ext/Blend/Apply", ()


def blendshapes(face: Face, state: EyeState | None = None) -> dict[str, float]:
    """ARKit's blendshapes of a face as VRM models spell them, with a capital; empty without an expression."""
    if not face.has_expression or not isinstance(face.expression, Expression):
        return {}
    values = arkit(face.expression)
    if state is not None and (closed := closed_shares(state)) is not None:
        values |= {"eyeBlinkRight": closed[0], "eyeBlinkLeft": closed[1]}
    return {name[0].upper() + name[1:]: value for name, value in values.items() if math.isfinite(value)}


def expression_of(face: Any) -> dict[str, float]:
    """The finite numbers of ``face.expression``, a mapping or an object with ``to_dict()``; empty if it has none."""
    found: Any = getattr(face, "expression", None) if getattr(face, "has_expression", True) else None
    if hasattr(found, "to_dict"):
        found = found.to_dict()
    if not isinstance(found, Mapping):
        return {}
    numbers = {str(n): float(v) for n, v in found.items() if isinstance(v, int | float | np.number)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


class OscSink:
    """Sends a bundle for each frame. Nobody needs to listen. Close it, or use ``with``.

    VMC follows one face: the largest of the first frame that has any, then that identity until it is lost.

    Args:
        target: ``HOST:PORT``, for example ``127.0.0.1:39539`` (VMC's usual port).
    Raises:
        MissingExtra: python-osc is not installed. ValueError: not ``HOST:PORT``, or the host is unknown.
    """

    def __init__(self, target: str) -> None:
        self._build = import_pythonosc()
        self._address, family = _resolved(target)
        self._target = target
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._followed: int | None = None

    def __enter__(self) -> OscSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, frame: TrackedFrame, eyes: Mapping[int, EyeState] | None = None) -> None:
        """Send the messages of one frame.

        Args:
            eyes: states of its faces' eyes, by identity (``jvcr.video.eyes.EyesOfFaces``).
        Raises:
            OSError: the system refuses to send (no route to the host, for example); the target is named.
        """
        face = self._face(frame.faces)
        state = (eyes or {}).get(self._followed) if self._followed is not None else None
        messages = [*own_messages(frame, eyes), *vmc_messages(face, frame.time_s, state)]
        try:
            self._socket.sendto(_bundle(self._build, messages), self._address)
        except ConnectionError:
            # Nobody listens yet.
            pass
        except OSError as error:
            raise OSError(error.errno, f"--osc {self._target}: cannot send ({error.strerror or error})") from error

    def _face(self, faces: list[TrackedFace]) -> Face | None:
        if not faces:
            self._followed = None
            return None
        chosen = next((tracked for tracked in faces if tracked.identity == self._followed), None)
        if chosen is None:
            chosen = max(faces, key=lambda tracked: tracked.face.box.width * tracked.face.box.height)
        self._followed = chosen.identity
        return chosen.face


def import_pythonosc() -> tuple[Any, Any]:
    """python-osc's builders of bundles and messages; raises MissingExtra without it."""
    try:
        from pythonosc.osc_bundle_builder import OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder
    except ModuleNotFoundError as error:
        raise missing("osc", error) from error
    return OscBundleBuilder, OscMessageBuilder


def _bundle(build: tuple[Any, Any], messages: list[Message]) -> bytes:
    new_bundle, new_message = build
    bundle = new_bundle(0)  # as soon as it arrives
    for address, values in messages:
        message = new_message(address)
        for value in values:
            message.add_arg(value)
        bundle.add_content(message.build())
    return bytes(bundle.build().dgram)


def _resolved(target: str) -> tuple[Any, int]:
    host, colon, port = target.rpartition(":")
    expected = "expected HOST:PORT, for example 127.0.0.1:39539"
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"--osc {target}: {expected}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    except (OSError, UnicodeError) as error:
        raise ValueError(f"--osc {target}: the host cannot be found ({error}); {expected}") from None
    return address, family
