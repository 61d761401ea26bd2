"""The training loop: batches → losses → weights, validated, recorded and checkpointed as it goes.

Lightning Fabric handles devices, precision and processes. Everything that decides the next step (weights, their
average, the optimiser's state, the step) is in ``last.ckpt``; batches and noise depend only on the seed and the step,
so a run that was killed goes on as if nothing had happened, also on another number of devices.
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
from jvcr.train.records import Records
from jvcr.train.sync import synchronise_batch_norms
from jvcr.train.task import Result, Share, Task
from jvcr.train.vary import Rows


@dataclass(frozen=True)
class Hardware:
    """Where a run works; none of it changes the result, but for rounding.

    Attributes:
        accelerator: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        devices: processes on each machine, one a device; they share every batch.
        nodes: machines.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1


@dataclass(frozen=True)
class Progress:
    """Where a run is. Losses are of the last step; since the last report: ``images_per_s``, and ``waiting``, the share
    of the time that went into waiting for the data loader."""

    step: int
    samples: int
    stage: Stage
    losses: dict[str, float]
    lr: float
    images_per_s: float
    waiting: float


class Listener(Protocol):
    """Is told how training goes, in the first process only."""

    def on_progress(self, progress: Progress) -> None:
        """After every few steps."""
        ...

    def on_validation(self, samples: int, result: Result) -> None:
        """After each validation; ``samples`` were trained on until then."""
        ...


_MAY_CHANGE = frozenset({"workers", "checkpoint_seconds", "compile", "pictures", "log_every"})
"""Settings that a continued run may have changed: they do not touch the result."""


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
    """Training cannot go on; the last good checkpoint is untouched."""


def stage_at(config: RunConfig, samples: int) -> tuple[Stage, int]:
    """The stage that the sample of this number falls into, and how many of its samples came before."""
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
    """The EMA of a network's weights and batch-norm statistics; ``update_parameters`` takes a step.

    Step n, from 0, keeps the share min(decay, (1 + n) / (10 + n)) of the old values: a shorter memory at the start.
    The initial weights are the first to be averaged.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], _: Tensor | int) -> None:
        if not averaged[0].is_floating_point():
            torch._foreach_copy_(averaged, current)
            return
        # The argument is a copy on the network's device, and reading it would wait for the device.
        seen = int(ema.n_averaged)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, seen / (9 + seen)))

    ema = AveragedModel(network, multi_avg_fn=update, use_buffers=True).eval().requires_grad_(False)  # type: ignore[arg-type]
    ema.n_averaged.fill_(1)
    ema.module.to(device)
    return ema


class Loop:
    """One run in one folder: ``last.ckpt`` to go on from, ``model.safetensors`` (averaged weights), and its records.

    Raises:
        ValueError: the folder holds a run with another configuration, task or data, or something else under
            ``last.ckpt``; or the batch cannot be shared evenly.
    """

    def __init__(self, task: Task, out: Path, listener: Listener, hardware: Hardware | None = None) -> None:
        hardware = hardware or Hardware()
        self.task, self.out, self.listener = task, out, listener
        self.config = config = task.config
        processes = hardware.devices * hardware.nodes
        self.fabric = Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy="ddp" if processes > 1 else "auto",
            precision=config.precision,  # type: ignore[arg-type]
        )
        self.fabric.launch()
        share = processes * config.accumulate
        if config.batch_size % share:
            raise ValueError(f"a batch of {config.batch_size} cannot be cut into {share} parts of one size")
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
                    f"the processes would go on from different steps ({steps}): {out} must be one folder that all "
                    "machines see"
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
        """Training crops seen so far."""
        return self.step * self.config.batch_size

    def run(self, seconds: float = math.inf) -> Result | None:
        """Train to the end of the last stage, or for about ``seconds``.

        Returns:
            the last validation of this call; None when it did not get to one.
        Raises:
            TrainingFailed: loss or weights are not finite, or a sample cannot be read. ``last.ckpt`` is then older,
                and good.
            OSError: a file cannot be written; the one there before is untouched.
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
            # The run ended in the middle of it.
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
                    # Before the validation, which takes its time and may be killed.
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
        """Score the averaged weights on the validation data."""
        return self.task.validate(self.average, torch.bfloat16 if self.config.precision.startswith("bf16") else None)

    def save(self) -> None:
        """Write ``model.safetensors`` and ``last.ckpt``, unless the weights are broken."""
        for network in (self.model, self.average):
            if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
                self._fail("a weight is not finite")
        about = {
            "training": self.config.to_dict(),
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
        # Last, so that whoever finds it finds everything else at least as new.
        write_atomically(self._checkpoint, lambda path: torch.save(state, path))

    def _next(self, stream: Iterator[Any]) -> Any:
        try:
            return next(stream)
        except Exception as error:  # whatever a reader raises, from whichever process
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise TrainingFailed(
                f"a training sample cannot be read at step {self.step}: {reason[-1]}; repair or leave out that row "
                f"(`jvcr data check` finds them all), then go on from {self._checkpoint}"
            ) from error

    def _train_step(self, batch: Any, stage: Stage, lr: float) -> dict[str, Tensor]:
        """Losses by name; the first is what is minimised."""
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
        """The first process's word, asked for now and then: clocks differ, but all must act at the same step."""
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
            f"{what} at step {self.step}: training diverged. {self._checkpoint}, if there, is older and good; "
            "lower the learning rate and start anew"
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
                "continue it with its own settings, or choose another output folder"
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
            raise self._damaged(f"it is cut short, or no checkpoint ({reason})") from error
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
            f"{self._checkpoint} is not a whole checkpoint of `jvcr train`: {what}. Restore it from a copy; or delete "
            f"it and start again, for example with --init {self.out / 'model.safetensors'}"
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
    """Whether a setting is as it was. Names of landmarks that an older version did not store do not count."""
    if isinstance(saved, dict) and isinstance(wanted, dict) and saved.get("names") == []:
        return saved == {**wanted, "names": []}
    return bool(saved == wanted)


def _short(value: Any) -> Any:
    """For a message: a markup or the like by its name alone."""
    return value.get("name", value) if isinstance(value, dict) else value


def _optimizer(config: RunConfig, network: nn.Module) -> torch.optim.Optimizer:
    """With a learning rate of 1: the loop sets it before each step."""
    parameters = network.parameters()
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=1.0, weight_decay=config.weight_decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=1.0, weight_decay=config.weight_decay)
