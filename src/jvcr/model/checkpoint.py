"""Weights files: ``safetensors``, with the network's configuration and provenance in the header."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jvcr.markups.markup import Markup
from jvcr.model.config import ModelConfig
from jvcr.model.jvcr import JVCR
from jvcr.model.rounding import from_steps, to_steps
from jvcr.runtime.checksum import BLANK, MARK, check_mark, seal, verify
from jvcr.runtime.checksum import KEY as CHECKSUM
from jvcr.runtime.header import Fields, read_crop_rule, read_markup

_KEY = "jvcr"

_STEP_SIZE = ":step"
"""Name suffix of the tensor with the step sizes of a quantised tensor (``jvcr.model.rounding``)."""


@dataclass(frozen=True)
class Header:
    """The description stored with the weights.

    Attributes:
        config: needed to rebuild the network.
        markup: of the network's landmarks.
        about: free-form and JSON-serialisable: training recipe, data, licence, metrics, samples seen.
    """

    config: ModelConfig
    markup: Markup
    about: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The header as JSON, for the weights file."""
        values = {"config": self.config.to_dict(), "markup": self.markup.to_dict(), "about": self.about}
        return json.dumps(values | MARK)

    @classmethod
    def from_json(cls, text: str, path: Path = Path("weights")) -> Header:
        """Inverse of ``to_json``; ``path`` is for messages.

        Raises:
            ValueError: a field is missing or wrong. The message names it.
        """
        fields = Fields.of(path, _KEY, text)
        config = fields.inner("config")
        config.fit(ModelConfig)
        read_crop_rule(config)
        header = cls(
            config.made(lambda: ModelConfig.from_dict(config.values)),
            read_markup(fields.inner("markup")),
            fields.inner("about", optional=True).values,
        )
        if header.config.n_points != header.markup.n_points:
            config.fail("n_points", f"{header.config.n_points}, but the markup has {header.markup.n_points}")
        return header


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary_path)`` and move the result into place. If the process dies, the old file is unchanged.

    Raises:
        OSError: writing failed, for example because the disk is full. The old file is unchanged.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
    except (OSError, SafetensorError, RuntimeError) as error:
        # On a full disk, PyTorch and safetensors raise their own exception types.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(
            f"{path} cannot be written ({error}); an existing file is unchanged. Free some disk space, then run the "
            "same command again"
        ) from error
    # Some writers create files that only the owner can read.
    temporary.chmod(0o644)
    temporary.replace(path)


def save_weights(path: Path, model: JVCR, header: Header, half: bool = False) -> None:
    """Write weights and header; ``half`` stores kernels and matrices in 16 bits. They load as float32."""
    write_safetensors(path, model, {_KEY: header.to_json()}, half)


def load_weights(path: Path) -> tuple[JVCR, Header]:
    """Rebuild the network of a weights file, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a weights file of this project, or the tensors do not match its configuration.
    """
    return read_safetensors(path, _KEY, Header.from_json, lambda header: JVCR(header.config))


def write_safetensors(path: Path, network: nn.Module, metadata: dict[str, str], half: bool) -> None:
    """Write a network's state; ``half`` stores kernels and matrices in 16 bits (``jvcr.model.rounding``)."""
    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        value = value.detach().cpu().contiguous()
        if half and value.ndim >= 2:
            steps, size = to_steps(value.numpy())
            state[name], state[name + _STEP_SIZE] = torch.from_numpy(steps), torch.from_numpy(size)
        else:
            state[name] = value

    def write(temporary: Path) -> None:
        save_file(state, temporary, metadata=metadata | {CHECKSUM: BLANK})
        seal(temporary)

    write_atomically(path, write)


_Network = TypeVar("_Network", bound=nn.Module)
_Description = TypeVar("_Description")


def read_safetensors(
    path: Path, key: str, parse: Callable[[str, Path], _Description], build: Callable[[_Description], _Network]
) -> tuple[_Network, _Description]:
    """The network described by the header's entry ``key``, in evaluation mode, and that description.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the entry is missing or wrong, the tensors do not match it, or the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    if key not in metadata:
        raise ValueError(f"{path}: no {key!r} entry in its header; expected weights written by `jvcr train`")
    check_mark(path, metadata[key], verify(path))
    description = parse(metadata[key], path)
    try:
        # Build it without allocating memory first: wrong sizes could need more than the machine has.
        with torch.device("meta"):
            described = {name: value.shape for name, value in build(description).state_dict().items()}
    except (RuntimeError, ValueError, TypeError, ArithmeticError, AssertionError) as error:
        raise ValueError(
            f"{path}: metadata field 'config': describes no network that can be built ({error})"
        ) from error
    try:
        state = _widened(state)
    except KeyError as error:
        raise ValueError(f"{path}: its tensors do not fit its own configuration: {error} is missing") from error
    wrong = [name for name in described.keys() | state.keys() if described.get(name) != _shape(state.get(name))]
    if wrong:
        listed = "; ".join(
            f"{name}: {_sizes(_shape(state.get(name)))} in place of {_sizes(described.get(name))}"
            for name in sorted(wrong)[:_LISTED]
        )
        raise ValueError(f"{path}: its tensors do not fit its own configuration: {len(wrong)} differ: {listed}")
    network = build(description)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: its tensors do not fit its own configuration: {error}") from error
    return network.eval(), description


def _widened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state in float32, from 16-bit steps or from the half-precision floats of older files."""
    wide = {}
    for name, value in state.items():
        if name.endswith(_STEP_SIZE):
            continue
        if value.dtype == torch.int16:
            wide[name] = torch.from_numpy(from_steps(value.numpy(), state[name + _STEP_SIZE].numpy()))
        else:
            wide[name] = value.float() if value.dtype == torch.float16 else value
    return wide


_LISTED = 5


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape


def _sizes(shape: torch.Size | None) -> str:
    return "nothing" if shape is None else " × ".join(map(str, shape)) or "one number"
