"""OSC and VMC messages, received over UDP by a decoder of this file."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr import Box, Face
from jvcr.cli.app import app
from jvcr.extras import MissingExtra
from jvcr.geometry import rotation_from_angles
from jvcr.video.blinks import EyeState
from jvcr.video.osc import OscSink, expression_of, own_messages, quaternion, vmc_messages
from jvcr.video.track import TrackedFace, TrackedFrame

Messages = list[tuple[str, list[Any]]]


def decoded(data: bytes) -> Messages:
    """The messages of a bundle (OSC 1.0)."""

    def text(at: int) -> tuple[str, int]:
        end = message.index(b"\0", at)
        return message[at:end].decode(), (end // 4 + 1) * 4

    assert data[:8] == b"#bundle\0"
    found: Messages = []
    place = 16
    while place < len(data):
        (size,) = struct.unpack_from(">i", data, place)
        message = data[place + 4 : place + 4 + size]
        place += 4 + size
        address, at = text(0)
        kinds, at = text(at)
        values: list[Any] = []
        for kind in kinds[1:]:
            if kind == "s":
                value, at = text(at)
                values.append(value)
            else:
                values.append(struct.unpack_from(f">{kind}", message, at)[0])
                at += 4
        found.append((address, values))
    return found


class Receiver:
    """A UDP port of this machine."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(5)
        self.target = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def bundle(self) -> Messages:
        return decoded(self._socket.recv(2**16))

    def is_empty(self) -> bool:
        self._socket.settimeout(0.1)
        try:
            self._socket.recv(1)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def receiver() -> Any:
    pytest.importorskip("pythonosc", reason="python-osc is not installed (extra: osc)")
    found = Receiver()
    yield found
    found.close()


@dataclass(frozen=True, eq=False)
class Smiling(Face):
    """A face with an expression."""

    expression: Any = None


def frame_of(*faces: tuple[int, Face], index: int = 3, time_s: float = 0.125) -> TrackedFrame:
    tracked = [TrackedFace(identity, face, face.landmarks) for identity, face in faces]
    return TrackedFrame(index, time_s, np.zeros((90, 100, 3), np.uint8), tracked)


def face_of(points: NDArray[np.float32]) -> Face:
    return Face(points, Box.around(points), 0.9)


def by_address(messages: Messages) -> dict[str, list[Any]]:
    return dict(messages)


def test_quaternions() -> None:
    half = np.sqrt(0.5)
    for rotation, expected in (
        (np.eye(3), (0, 0, 0, 1)),
        (rotation_from_angles(0, 0, 90), (0, 0, half, half)),
        (rotation_from_angles(-45, 0, 0), (0, np.sin(np.pi / 8), 0, np.cos(np.pi / 8))),
        (np.diag([1.0, -1.0, -1.0]), (1, 0, 0, 0)),
    ):
        found = np.array(quaternion(rotation))
        np.testing.assert_allclose(found * np.sign(found @ expected), expected, atol=1e-12)
    from scipy.spatial.transform import Rotation

    for turn in Rotation.random(20, random_state=0):
        np.testing.assert_allclose(quaternion(turn.as_matrix()), turn.as_quat(canonical=True), atol=1e-9)


def test_vmc_turns_the_head_as_the_person_does(make_head: Callable[..., NDArray[np.float32]]) -> None:
    """In Unity's axes on the performer: x to their right, y up, z forward."""
    for angles, expected in (
        ((30, 0, 0), (-0.5, 0, 0.866)),  # to their left
        ((0, 20, 0), (0, 0.342, 0.940)),  # up
    ):
        messages = by_address([(a, list(v)) for a, v in vmc_messages(face_of(make_head(*angles)), 1.0)])
        name, *numbers = messages["/VMC/Ext/Bone/Pos"]
        assert name == "Head" and numbers[:3] == [0, 0, 0]
        x, y, z, w = numbers[3:]
        axis = np.array([x, y, z])
        forward = np.array([0, 0, 1.0])
        # Unity's Quaternion * Vector3.
        nose = forward + 2 * w * np.cross(axis, forward) + 2 * np.cross(axis, np.cross(axis, forward))
        np.testing.assert_allclose(nose, expected, atol=2e-3)
    # Tilted clockwise in the image: the crown moves to the image's right, their left.
    messages = by_address([(a, list(v)) for a, v in vmc_messages(face_of(make_head(0, 0, 10)), 1.0)])
    x, y, z, w = messages["/VMC/Ext/Bone/Pos"][4:]
    axis, up = np.array([x, y, z]), np.array([0, 1.0, 0])
    crown = up + 2 * w * np.cross(axis, up) + 2 * np.cross(axis, np.cross(axis, up))
    np.testing.assert_allclose(crown, [-0.174, 0.985, 0], atol=2e-3)


def test_one_bundle_a_frame(make_head: Callable[..., NDArray[np.float32]], receiver: Receiver) -> None:
    face = face_of(make_head(20, 10, -5))
    points = face.landmarks
    smiling = Smiling(points, face.box, 0.9, expression={"smile": 0.25, "blink": np.nan, "note": "x"})
    with OscSink(receiver.target) as sink:
        sink.send(frame_of((4, smiling)))
        sink.send(frame_of(index=4, time_s=0.25))
    messages = by_address(receiver.bundle())
    assert messages["/jvcr/frame"] == [3, 0.125, 1]
    assert messages["/jvcr/face/4/pose"] == pytest.approx([20, 10, -5], abs=1e-3)
    x, y = face.box.centre
    size = max(face.box.width, face.box.height)
    assert messages["/jvcr/face/4/position"] == pytest.approx([(x + 0.5) / 100, (y + 0.5) / 90, size / 100], rel=1e-5)
    assert messages["/jvcr/face/4/expression/smile"] == [0.25]
    assert not any("blink" in address or "note" in address for address in messages)
    assert messages["/VMC/Ext/OK"] == [1] and messages["/VMC/Ext/T"] == [0.125]
    assert messages["/VMC/Ext/Blend/Val"] == ["smile", 0.25] and messages["/VMC/Ext/Blend/Apply"] == []
    messages = by_address(receiver.bundle())
    assert messages["/jvcr/frame"] == [4, 0.25, 0]
    assert messages["/VMC/Ext/OK"] == [0] and "/VMC/Ext/Bone/Pos" not in messages


def test_vmc_stays_with_one_face(make_head: Callable[..., NDArray[np.float32]], receiver: Receiver) -> None:
    small, large = face_of(make_head(10, eyes_px=20)), face_of(make_head(-30, eyes_px=40))

    def followed() -> bool:
        return by_address(receiver.bundle())["/VMC/Ext/Bone/Pos"][5] < 0

    with OscSink(receiver.target) as sink:
        sink.send(frame_of((1, small)))
        assert followed()
        # The larger one comes later, and takes over when the first is lost.
        sink.send(frame_of((1, small), (2, large)))
        assert followed()
        sink.send(frame_of((2, large)))
        assert not followed()
        sink.send(frame_of((3, small), (2, large)))
        assert not followed()


def test_expressions_of_any_shape(make_head: Callable[..., NDArray[np.float32]]) -> None:
    face = face_of(make_head())
    assert expression_of(face) == pytest.approx(face.expression.to_dict(), abs=1e-3)
    assert expression_of(SimpleNamespace(has_expression=False, expression=face.expression)) == {}
    assert expression_of(SimpleNamespace(expression=SimpleNamespace(to_dict=lambda: {"a": 1}))) == {"a": 1.0}
    assert expression_of(SimpleNamespace(expression=3)) == {}
    assert all(address.startswith("/jvcr/") for address, _ in own_messages(frame_of((1, face))))


def test_blinks_are_the_persons_own(make_head: Callable[..., NDArray[np.float32]], receiver: Receiver) -> None:
    """With the state of the eyes, a blink is relative to the open eye; without it, to an ordinary one."""
    points = make_head()
    points[[43, 44]] = points[[47, 46]]  # the person's left eye is shut
    frame = frame_of((4, face_of(points)))
    with OscSink(receiver.target) as sink:
        sink.send(frame, {4: EyeState(right=0.9, left=0.25, closed=False, perclos=0.125)})
        sink.send(frame, {4: EyeState(None, None, None, None)})
        sink.send(frame)
    bundles = [receiver.bundle() for _ in range(3)]
    own = [by_address(bundle) for bundle in bundles]
    assert own[0]["/jvcr/face/4/blink"] == pytest.approx([0.1, 0.75])
    assert own[0]["/jvcr/face/4/perclos"] == [0.125]
    assert not any(name in found for found in own[1:] for name in ("/jvcr/face/4/blink", "/jvcr/face/4/perclos"))
    shapes = [dict(values for address, values in bundle if address == "/VMC/Ext/Blend/Val") for bundle in bundles]
    assert shapes[0]["EyeBlinkRight"] == pytest.approx(0.1) and shapes[0]["EyeBlinkLeft"] == 0.75
    for found in shapes[1:]:
        assert found["EyeBlinkLeft"] == 1.0 and found["EyeBlinkRight"] < 0.5
    for found in shapes:
        assert found["eye_left"] == pytest.approx(frame.faces[0].face.expression.eye_left, abs=1e-3)
        assert "BrowInnerUp" in found and "JawOpen" in found and len(found) == 8 + 14


@pytest.mark.parametrize(
    "target", ["", "host", "1.2.3.4:", ":9000", "1.2.3.4:0", "1.2.3.4:70000", "1.2.3.4:x", "a..b:9"]
)
def test_targets_that_are_none(target: str) -> None:
    pytest.importorskip("pythonosc", reason="python-osc is not installed (extra: osc)")
    with pytest.raises(ValueError, match=r"--osc .*expected HOST:PORT"):
        OscSink(target)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("pythonosc", "pythonosc.osc_bundle_builder", "pythonosc.osc_message_builder"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"\[osc\]"):
        OscSink("127.0.0.1:9000")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut's head, tilted further clockwise by three degrees a frame."""
    av: Any = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    photo = astronaut()[20:276, 90:346]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for number in range(8):
            turn = cv2.getRotationMatrix2D((128, 128), -3.0 * number, 1)
            pixels = cv2.warpAffine(photo, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_the_command_sends_what_it_writes(film: Path, receiver: Receiver) -> None:
    done = CliRunner().invoke(
        app, ["video", str(film), "--jsonl", "-", "--osc", receiver.target, "--smooth", "0", "--threads", "1"]
    )
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 8
    for record in records:
        messages = by_address(receiver.bundle())
        (face,) = record["faces"]
        assert messages["/jvcr/frame"] == pytest.approx([record["frame"], record["time"], 1], abs=1e-5)
        expected = [face["pose"][f"{angle}_deg"] for angle in ("yaw", "pitch", "roll")]
        assert messages[f"/jvcr/face/{face['id']}/pose"] == pytest.approx(expected, abs=1e-3)
    rolls = [record["faces"][0]["pose"]["roll_deg"] for record in records]
    np.testing.assert_allclose(np.diff(rolls), 3, atol=1.5)
    assert receiver.is_empty()


def test_osc_alone_writes_no_file(film: Path, receiver: Receiver) -> None:
    before = sorted(film.parent.iterdir())
    done = CliRunner().invoke(app, ["video", str(film), "--osc", receiver.target, "--seconds", "0.1", "--threads", "1"])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert by_address(receiver.bundle())["/VMC/Ext/OK"] == [1]
    assert sorted(film.parent.iterdir()) == before
