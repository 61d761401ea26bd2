"""The training loop, with validation, logs and checkpoints.

Lightning Fabric handles devices, precision and processes. ``last.ckpt`` contains everything that determines the next
step (weights, EMA, optimiser state, step). Batches and noise depend only on the seed and the step. So a killed run can
be resumed with the same result, also on another number of devices.
"""

from __future__ import annotations

import math
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from jvcr.model.checkpoint import write_atomically
from jvcr.train.config import RunConfig, Stage
from jvcr.train.precision import resolved
from jvcr.train.records import Records
from jvcr.train.sync import synchronise_batch_norms
from jvcr.train.task import Result, Share, Task
from jvcr.train.vary import Rows


@dataclass(frozen=True)
class Hardware:
    """Hardware of a run. It changes the result only by rounding errors.

    Attributes:
        accelerator: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        devices: processes per machine, one per device; they share every batch.
        nodes: number of machines.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1

    def device(self) -> torch.device:
        """The kind of device that Fabric will take."""
        if self.accelerator != "auto":
            return torch.device({"gpu": "cuda"}.get(self.accelerator, self.accelerator))
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@dataclass(frozen=True)
class Progress:
    """Progress of a run. Losses are from the last step. ``images_per_s`` and ``waiting`` (share of time spent waiting
    for the data loader) are since the last report."""

    step: int
    samples: int
    stage: Stage
    losses: dict[str, float]
    lr: float
    images_per_s: float
    waiting: float


class Listener(Protocol):
    """Receives progress reports, in the first process only."""

    def on_progress(self, progress: Progress) -> None:
        """Called about once per second."""
        ...

    def on_validation(self, samples: int, result: Result) -> None:
        """Called after each validation; ``samples`` is the number of training samples so far."""
        ...


_MAY_CHANGE = frozenset({"workers", "checkpoint_seconds", "compile", "pictures", "log_every"})
"""Settings that may differ when a run is resumed: they do not change the result."""


_CHECKPOINT_FIELDS: dict[str, type | tuple[type, ...]] = {
    "model": dict,
    "average": dict,
    "optimizer": dict,
    "step": int,
    "config": dict,
    "data": dict,
    "task": dict,
    "validated": (dict, type(None)),
    "last": dict,
}
"""Fields of ``last.ckpt`` and their types."""


class TrainingFailed(RuntimeError):
    """Training cannot continue; the last good checkpoint is intact."""


def stage_at(config: RunConfig, samples: int) -> tuple[Stage, int]:
    """The stage of a sample number, and how many samples of that stage precede it."""
    for stage in config.stages:
        if samples < stage.samples:
            return stage, samples
        samples -= stage.samples
    return config.stages[-1], config.stages[-1].samples


def learning_rate(stage: Stage, done: int) -> float:
    """Linear warm-up, then half a cosine from ``lr`` to ``final_lr`` over the stage."""
    if done < stage.warmup_samples:
        return stage.lr * (done + 1) / stage.warmup_samples
    share = (done - stage.warmup_samples) / max(1, stage.samples - stage.warmup_samples)
    return stage.final_lr + (stage.lr - stage.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def ema_of(network: nn.Module, decay: float, device: torch.device | None = None) -> AveragedModel:
    """The EMA of a network's weights and batch-norm statistics; ``update_parameters`` updates it.

    The decay of step n (from 0) is min(decay, (1 + n) / (10 + n)), which is smaller at the start.
    The average starts with the initial weights.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], _: Tensor | int) -> None:
        if not averaged[0].is_floating_point():
            torch._foreach_copy_(averaged, current)
            return
        # The third argument is on the network's device; reading it would wait for the device.
        seen = int(ema.n_averaged)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, seen / (9 + seen)))

    ema = AveragedModel(network, multi_avg_fn=update, use_buffers=True).eval().requires_grad_(False)  # type: ignore[arg-type]
    ema.n_averaged.fill_(1)
    ema.module.to(device)
    return ema


class Loop:
    """A run in a folder: ``last.ckpt`` (to resume), ``model.safetensors`` (EMA weights), and logs.

    Raises:
        ValueError: the folder contains a run with another configuration, task or data; ``last.ckpt`` is damaged; or the
            batch cannot be split evenly.
    """

    def __init__(self, task: Task, out: Path, listener: Listener, hardware: Hardware | None = None) -> None:
        hardware = hardware or Hardware()
        self.task, self.out, self.listener = task, out, listener
        self.config = config = task.config
        processes = hardware.devices * hardware.nodes
        self.precision = resolved(config.precision, hardware.device())
        self.fabric = Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy="ddp" if processes > 1 else "auto",
            precision=self.precision,
        )
        self.fabric.launch()
        share = processes * config.accumulate
        if config.batch_size % share:
            raise ValueError(f"a batch of {config.batch_size} cannot be split into {share} equal parts")
        self._part = config.batch_size // share
        mine = config.batch_size // processes
        self._share = slice(self.fabric.global_rank * mine, (self.fabric.global_rank + 1) * mine)
        if not self._checkpoint.exists():
            task.before_first_step()
        self.model = task.network
        self.ema = ema_of(self.model, config.ema_decay, self.fabric.device)
        synchronise_batch_norms(self.model, self.fabric.device)
        if config.channels_last:
            for module in self.model.modules():
                if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network: Any = torch.compile(self.model) if config.compile else self.model
        self.wrapped, self.optimizer = self.fabric.setup(network, _optimizer(config, self.model))
        self.step = 0
        self._validated: dict[str, Any] | None = None
        self._last: dict[str, Tensor] = {}
        out.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.exists():
            self._resume()
        if self.fabric.world_size > 1:
            steps = self.fabric.all_gather(torch.tensor(self.step)).flatten().tolist()  # type: ignore[union-attr]
            if len(set(steps)) > 1:
                raise ValueError(
                    f"the processes would resume from different steps ({steps}): {out} must be a folder that all "
                    "machines share"
                )
        validated = 0 if self._validated is None else int(self._validated["samples"])
        self._records = Records(out, self.samples, validated) if self.fabric.is_global_zero else None

    @property
    def _checkpoint(self) -> Path:
        return self.out / "last.ckpt"

    @property
    def average(self) -> nn.Module:
        """The network with averaged weights."""
        return self.ema.module

    @property
    def samples(self) -> int:
        """Number of training crops so far."""
        return self.step * self.config.batch_size

    def run(self, seconds: float = math.inf) -> Result | None:
        """Train to the end of the last stage, or for about ``seconds``.

        Returns:
            The last validation of this call; None if there was none.
        Raises:
            TrainingFailed: loss or weights are not finite, or a sample cannot be read. ``last.ckpt`` is still the last
                good checkpoint.
            OSError: a file cannot be written; its previous version is intact.
        """
        try:
            return self._run(seconds)
        finally:
            if self._records is not None:
                self._records.close()

    def _run(self, seconds: float) -> Result | None:
        started = last_save = last_report = time.monotonic()
        reported_step, waited = self.step, 0.0
        config = self.config
        result: Result | None = None
        if self.step and self._at_validation() and (self._validated or {}).get("samples") != self.samples:
            # The run was interrupted during this validation.
            result = self._validated_and_saved(0.0)
        stream = self._stream()
        self.wrapped.train()
        while self.samples < config.total_samples:
            before = time.monotonic()
            batch = self._next(stream)
            waited += time.monotonic() - before
            stage, done = stage_at(config, self.samples)
            lr = learning_rate(stage, done)
            losses = self._train_step(batch, stage, lr)
            self.step += 1
            self._last = {**dict(list(losses.items())[1:]), "lr": torch.tensor(lr)}
            now = time.monotonic()
            if self.step % config.log_every == 0:
                self._stop_if_broken(losses)
                self._log_losses(losses, lr, now - started)
            if now - last_report > 1.0 and self.fabric.is_global_zero:
                rate = (self.step - reported_step) * config.batch_size / (now - last_report)
                share = waited / (now - last_report)
                values = {name: float(value) for name, value in losses.items()}
                self.listener.on_progress(Progress(self.step, self.samples, stage, values, lr, rate, share))
                last_report, reported_step, waited = now, self.step, 0.0
            out_of_time, save_now = self._agreed(now - started > seconds, now - last_save > config.checkpoint_seconds)
            validate_now = self._at_validation()
            if out_of_time or save_now or validate_now:
                self._stop_if_broken(losses)
                if self.fabric.is_global_zero:
                    # Save before validation, which takes long and may be interrupted.
                    self.save()
                last_save = time.monotonic()
            if validate_now:
                result = self._validated_and_saved(now - started)
                last_save = last_report = time.monotonic()
                reported_step, waited = self.step, 0.0
            if out_of_time:
                break
        self.fabric.barrier()
        return result

    def validate(self) -> Result:
        """Evaluate the EMA weights on the validation data."""
        return self.task.validate(self.average, torch.bfloat16 if self.precision == "bf16-mixed" else None)

    def save(self) -> None:
        """Write ``model.safetensors`` and ``last.ckpt``, unless a weight is not finite."""
        for network in (self.model, self.average):
            if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
                self._fail("a weight is not finite")
        about = {
            "training": self.config.to_dict() | {"precision": self.precision},
            "samples_seen": self.samples,
            "validation": self._validated,
        }
        self.task.save(self.out / "model.safetensors", self.average, about)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "config": self.config.to_dict(),
            "data": self.task.fingerprint(),
            "task": self.task.identity,
            "validated": self._validated,
            "last": self._last,
        }
        # Written last, so that all other files are at least as new.
        write_atomically(self._checkpoint, lambda path: torch.save(state, path))

    def _next(self, stream: Iterator[Any]) -> Any:
        try:
            return next(stream)
        except Exception as error:  # readers and data loader processes raise many types
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise TrainingFailed(
                f"a training sample cannot be read at step {self.step}: {reason[-1]}; repair or remove that row "
                f"(`jvcr data check` lists all), then resume from {self._checkpoint}"
            ) from error

    def _train_step(self, batch: Any, stage: Stage, lr: float) -> dict[str, Tensor]:
        """Losses by name; the first is minimised."""
        config = self.config
        parts = config.accumulate
        seed = config.seed * 1_000_003 + self.step
        device = self.fabric.device
        weight_sum = self._mean(batch.weight.to(device).sum()) / parts
        self.optimizer.zero_grad()
        means: dict[str, Tensor] = {}
        for number in range(parts):
            mine = slice(number * self._part, (number + 1) * self._part)
            rows = Rows(config.batch_size, self._share.start + mine.start, self._part)
            with self.fabric.no_backward_sync(self.wrapped, enabled=number < parts - 1):
                losses = self.task.losses(self.wrapped, batch, Share(mine, rows, seed, weight_sum, device), stage)
                self.fabric.backward(next(iter(losses.values())) / parts)
            for name, value in losses.items():
                means[name] = means.get(name, 0.0) + value.detach().float() / parts
        if config.clip_norm:
            self.fabric.clip_gradients(
                self.wrapped, self.optimizer, max_norm=config.clip_norm, error_if_nonfinite=False
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.ema.update_parameters(self.model)
        return means

    def _mean(self, value: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.fabric.world_size == 1:
            return value
        reduced = self.fabric.all_reduce(value, reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def _agreed(self, *wishes: bool) -> tuple[bool, ...]:
        """The first process's decision, shared every tenth step: clocks differ, but all must act at the same step."""
        if self.fabric.world_size == 1:
            return wishes
        if self.step % 10:
            return (False,) * len(wishes)
        return tuple(self.fabric.broadcast(wishes))

    def _at_validation(self) -> bool:
        """Whether the last step crossed a multiple of ``validate_every``, or was the run's last."""
        every = self.config.validate_every
        crossed = self.samples // every > (self.samples - self.config.batch_size) // every
        return crossed or self.samples >= self.config.total_samples

    def _validated_and_saved(self, seconds: float) -> Result | None:
        """Validate, record and save, in the first process."""
        if not self.fabric.is_global_zero:
            return None
        result = self.validate()
        self._validated = {"samples": self.samples, **result.to_dict()}
        self.listener.on_validation(self.samples, result)
        self._log_validation(result, seconds)
        self.save()
        return result

    def _stop_if_broken(self, losses: dict[str, Tensor]) -> None:
        if not bool(torch.isfinite(self._mean(next(iter(losses.values()))))):
            self._fail(", ".join(f"{name} is {float(value)}" for name, value in losses.items()))

    def _fail(self, what: str) -> NoReturn:
        raise TrainingFailed(
            f"{what} at step {self.step}: training diverged. {self._checkpoint}, if it exists, is the last good "
            "checkpoint; lower the learning rate and start again"
        )

    def _stream(self) -> Iterator[Any]:
        return self.task.batches(self.step, self._share)

    def _resume(self) -> None:
        state = self._read_checkpoint()
        saved = {**state["config"], **state["task"]}
        wanted = {**self.config.to_dict(), **self.task.identity}
        different = [
            f"{key}: {_short(saved.get(key))} → {_short(value)}"
            for key, value in wanted.items()
            if not _is_same(saved.get(key), value) and key not in _MAY_CHANGE
        ]
        different += [
            f"the training table: other {part}"
            for part, checksum in self.task.fingerprint().items()
            if state["data"].get(part) != checksum
        ]
        if different:
            raise ValueError(
                f"{self._checkpoint} comes from a run with other settings ({'; '.join(different)}); "
                "resume it with its own settings, or choose another output folder"
            )
        for field, target in (("model", self.model), ("average", self.average), ("optimizer", self.optimizer)):
            try:
                target.load_state_dict(state[field])
            except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
                raise self._damaged(
                    f"field {field!r} does not fit the network ({str(error).splitlines()[0]})"
                ) from error
        self.step = state["step"]
        self.ema.n_averaged.fill_(self.step + 1)
        self._validated = state["validated"]
        self._last = state["last"]

    def _read_checkpoint(self) -> dict[str, Any]:
        """The fields of ``last.ckpt``.

        Raises:
            ValueError: it cannot be read, or a field is missing or of the wrong type; file and field are named.
        """
        try:
            # PyTorch does not compare the checksums of the archive: flipped bits would become weights.
            with zipfile.ZipFile(self._checkpoint) as archive:
                damaged = archive.testzip()
            if damaged is None:
                state = torch.load(self._checkpoint, map_location=self.fabric.device, weights_only=True)
        except Exception as error:  # zipfile and PyTorch fail on damaged bytes in many ways
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise self._damaged(f"it is truncated, or not a checkpoint ({reason})") from error
        if damaged is not None:
            raise self._damaged(f"its bytes have changed (the checksum of {damaged} differs)")
        if not isinstance(state, dict):
            raise self._damaged(f"it holds a {type(state).__name__}; expected the fields of a checkpoint")
        for field, kind in _CHECKPOINT_FIELDS.items():
            if field not in state:
                raise self._damaged(f"field {field!r} is missing")
            if not isinstance(state[field], kind):
                raise self._damaged(f"field {field!r} is a {type(state[field]).__name__}")
        steps = math.ceil(self.config.total_samples / self.config.batch_size)
        if isinstance(state["step"], bool) or state["step"] < 0:
            raise self._damaged(f"field 'step' is {state['step']!r}; expected the number of steps that were taken")
        if state["config"] == self.config.to_dict() and state["step"] > steps:
            raise self._damaged(f"field 'step' is {state['step']}, but the run has {steps} steps")
        samples = 0 if state["validated"] is None else state["validated"].get("samples")
        if isinstance(samples, bool) or not isinstance(samples, int):
            raise self._damaged(f"field 'validated' has samples {samples!r}; expected a whole number")
        for name, value in state["last"].items():
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise self._damaged(f"field 'last' has {name!r} that is not one number")
        return state

    def _damaged(self, what: str) -> ValueError:
        return ValueError(
            f"{self._checkpoint} is not a complete checkpoint of `jvcr train`: {what}. Restore it from a copy; or "
            f"delete it and start again, for example with --init {self.out / 'model.safetensors'}"
        )

    def _log_losses(self, losses: dict[str, Tensor], lr: float, seconds: float) -> None:
        means = {name: float(self._mean(value)) for name, value in losses.items()}
        if self._records is not None:
            self._records.losses({"samples": self.samples, **means, "lr": lr, "seconds": seconds})

    def _log_validation(self, result: Result, seconds: float) -> None:
        assert self._records is not None
        losses = {name: float(value) for name, value in self._last.items()}
        self._records.validation({"samples": self.samples, **losses, **result.to_row(), "seconds": seconds})
        if self.config.pictures:
            self._records.picture(self.samples, self.task.sheet(self.average, self.config.pictures))


def _is_same(saved: Any, wanted: Any) -> bool:
    """Whether a setting is unchanged. Landmark names that an older version did not store are ignored."""
    if isinstance(saved, dict) and isinstance(wanted, dict) and saved.get("names") == []:
        return saved == {**wanted, "names": []}
    return bool(saved == wanted)


def _short(value: Any) -> Any:
    """A value for a message; a markup is shortened to its name."""
    return value.get("name", value) if isinstance(value, dict) else value


def _optimizer(config: RunConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser. The loop sets the learning rate before each step."""
    parameters = network.parameters()
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=1.0, weight_decay=config.weight_decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=1.0, weight_decay=config.weight_decay)
