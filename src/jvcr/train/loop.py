"""The training loop: batches → true volumes → losses → weights, validated and checkpointed as it goes.

Lightning Fabric handles device and precision. Everything that decides the next step (weights, their average, the
optimiser's state, the step) is in ``last.ckpt``; batches and noise depend only on the seed and the step, so a run
that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import copy
import csv
import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from jvcr.data.backgrounds import Backgrounds
from jvcr.data.stream import Batch, batches
from jvcr.data.table import Table
from jvcr.evaluate.run import Report, predict_samples, report
from jvcr.markup import Markup
from jvcr.model.checkpoint import Header, save_weights, write_atomically
from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR
from jvcr.runtime.pytorch import TorchRuntime
from jvcr.train.config import Stage, TrainConfig
from jvcr.train.losses import coordinate_loss, voxel_loss
from jvcr.train.targets import rasterise


@dataclass(frozen=True)
class Progress:
    """Where a run is. Losses are of the last step; ``images_per_s`` since the last report."""

    step: int
    samples: int
    stage: Stage
    voxel_loss: float
    coordinate_loss: float
    lr: float
    images_per_s: float


class Listener(Protocol):
    """Is told how training goes."""

    def on_progress(self, progress: Progress) -> None: ...

    def on_validation(self, samples: int, result: Report) -> None: ...


_MAY_CHANGE = frozenset({"workers", "checkpoint_seconds"})
"""Settings that a continued run may have changed: they do not touch the result."""


class TrainingFailed(RuntimeError):
    """Training cannot go on; the last good checkpoint is untouched."""


def stage_at(config: TrainConfig, samples: int) -> tuple[Stage, int]:
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


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of weights and batch-norm statistics; a shorter memory in the first steps."""
    keep = min(decay, (1 + step) / (10 + step))
    for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new.to(old.dtype), 1 - keep)
        else:
            old.copy_(new)


class Training:
    """One run in one folder: ``last.ckpt`` to go on from, ``model.safetensors`` (averaged weights), ``log.csv``.

    Raises:
        ValueError: the folder holds a run with another configuration or markup, or something else under
            ``last.ckpt``; or a table has another number of points than the markup.
    """

    def __init__(
        self,
        config: TrainConfig,
        markup: Markup,
        table: Table,
        validation: Table,
        backgrounds: Backgrounds,
        out: Path,
        listener: Listener,
        accelerator: str = "auto",
    ) -> None:
        for rows in (table, validation):
            if rows.points.shape[1] != markup.n_points:
                raise ValueError(
                    f"the table has {rows.points.shape[1]} points, markup {markup.name!r} has {markup.n_points}"
                )
        self.config, self.markup, self.out, self.listener = config, markup, out, listener
        self.table, self.validation, self.backgrounds = table, validation, backgrounds
        self.fabric = Fabric(accelerator=accelerator, devices=1, precision=config.precision)  # type: ignore[arg-type]
        torch.manual_seed(config.seed)
        self.model = JVCR(replace(PRESETS[config.preset], n_points=markup.n_points))
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False).to(self.fabric.device)
        if config.channels_last:
            self.model.voxel.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1.0, weight_decay=config.weight_decay)
        self.wrapped, self.optimizer = self.fabric.setup(self.model, optimizer)
        self.step = 0
        self._validated: dict[str, Any] | None = None
        out.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.exists():
            self._resume()

    @property
    def _checkpoint(self) -> Path:
        return self.out / "last.ckpt"

    @property
    def samples(self) -> int:
        """Training crops seen so far."""
        return self.step * self.config.batch_size

    def run(self, seconds: float = math.inf) -> Report | None:
        """Train to the end of the last stage, or for about ``seconds``.

        Returns:
            the last validation of this call; None when it did not get to one.
        Raises:
            TrainingFailed: loss or weights are not finite. ``last.ckpt`` is then older, and good.
        """
        started = last_save = last_report = time.monotonic()
        reported_step = self.step
        config = self.config
        result: Report | None = None
        stream = self._stream()
        self.wrapped.train()
        while self.samples < config.total_samples:
            batch = next(stream)
            stage, done = stage_at(config, self.samples)
            lr = learning_rate(stage, done)
            vox, coord = self._train_step(batch, stage, lr)
            self.step += 1
            now = time.monotonic()
            if now - last_report > 1.0:
                rate = (self.step - reported_step) * config.batch_size / (now - last_report)
                progress = Progress(self.step, self.samples, stage, float(vox), float(coord), lr, rate)
                self.listener.on_progress(progress)
                last_report, reported_step = now, self.step
            out_of_time = now - started > seconds
            if self._crosses_validation() or self.samples >= config.total_samples:
                self._stop_if_broken(vox, coord)
                result = self.validate()
                self._validated = {"samples": self.samples, **result.to_dict()}
                last_report, reported_step = time.monotonic(), self.step
                self.listener.on_validation(self.samples, result)
                self._log(result, float(vox), float(coord), lr, now - started)
                self.save()
                last_save = time.monotonic()
            elif out_of_time or now - last_save > config.checkpoint_seconds:
                self._stop_if_broken(vox, coord)
                self.save()
                last_save = time.monotonic()
            if out_of_time:
                break
        return result

    def validate(self) -> Report:
        """Score the averaged weights on the validation rows."""
        dtype = torch.bfloat16 if self.config.precision.startswith("bf16") else None
        runtime = TorchRuntime(self.average, self.markup, dtype)
        rows = (self.validation[row] for row in range(len(self.validation)))
        return report(predict_samples(runtime, rows), self.markup.normaliser)

    def save(self) -> None:
        """Write ``model.safetensors`` and ``last.ckpt``, unless the weights are broken."""
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            self._fail("a weight is not finite")
        about = {
            "training": self.config.to_dict(),
            "samples_seen": self.samples,
            "validation": self._validated,
        }
        save_weights(self.out / "model.safetensors", self.average, Header(self.model.config, self.markup, about))
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "config": self.config.to_dict(),
            "markup": self.markup.to_dict(),
            "validated": self._validated,
        }
        # Last, so that whoever finds it finds everything else at least as new.
        write_atomically(self._checkpoint, lambda path: torch.save(state, path))

    def _train_step(self, batch: Batch, stage: Stage, lr: float) -> tuple[Tensor, Tensor]:
        config = self.config
        crops, points_unit, weight = (t.to(self.fabric.device, non_blocking=True) for t in batch)
        network = self.model.config
        side = network.volume_size
        true = [rasterise(points_unit, (d, side, side), config.sigma_vox) for d in network.depths]
        read = None
        if not stage.end_to_end:
            noise = torch.Generator(crops.device).manual_seed(config.seed * 1_000_003 + self.step)
            read = true[-1] + stage.volume_noise * torch.randn(true[-1].shape, generator=noise, device=crops.device)
        output = self.wrapped(crops, read)
        vox = voxel_loss(output.volumes, true, config.foreground)
        coord = coordinate_loss(output.points_unit, points_unit, weight)
        self.optimizer.zero_grad()
        self.fabric.backward(vox + stage.coordinate_weight * coord)
        self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=config.clip_norm, error_if_nonfinite=False)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        update_average(self.average, self.model, config.ema_decay, self.step)
        return vox.detach(), coord.detach()

    def _crosses_validation(self) -> bool:
        every = self.config.validate_every
        return self.samples // every > (self.samples - self.config.batch_size) // every

    def _stop_if_broken(self, vox: Tensor, coord: Tensor) -> None:
        if not bool(torch.isfinite(vox + coord)):
            self._fail(f"the loss is {float(vox)} + {float(coord)}")

    def _fail(self, what: str) -> NoReturn:
        raise TrainingFailed(
            f"{what} at step {self.step}: training diverged. {self._checkpoint}, if there, is older and good; "
            "lower the learning rate and start anew"
        )

    def _stream(self) -> Iterator[Batch]:
        return batches(
            self.table,
            size_px=self.model.config.image_size,
            markup=self.markup,
            augmentation=self.config.augmentation,
            sampling=self.config.sampling,
            backgrounds=self.backgrounds,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            first=self.step,
            workers=self.config.workers,
        )

    def _resume(self) -> None:
        try:
            state = torch.load(self._checkpoint, map_location=self.fabric.device, weights_only=True)
            saved = {**state["config"], "markup": state["markup"]}
        except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError) as error:
            raise ValueError(f"{self._checkpoint}: not a checkpoint of `jvcr train` ({error})") from error
        wanted = {**self.config.to_dict(), "markup": self.markup.to_dict()}
        different = [
            f"{key}: {saved.get(key)} → {value}"
            for key, value in wanted.items()
            if saved.get(key) != value and key not in _MAY_CHANGE
        ]
        if different:
            raise ValueError(
                f"{self._checkpoint} comes from a run with other settings ({'; '.join(different)}); "
                "continue it with its own settings, or choose another output folder"
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self._validated = state["validated"]
        self._forget_later_rows()

    def _forget_later_rows(self) -> None:
        """Drop validations that were logged after the checkpoint: they will come again."""
        path = self.out / "log.csv"
        if not path.exists():
            return
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        kept = [header, *(row for row in rows if int(row[0]) <= self.samples)]
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(kept)

    def _log(self, result: Report, vox: float, coord: float, lr: float, seconds: float) -> None:
        row = {
            "samples": self.samples,
            "lr": lr,
            "voxel_loss": vox,
            "coordinate_loss": coord,
            "nme_0_30": result.nme.bins[0],
            "nme_30_60": result.nme.bins[1],
            "nme_60_90": result.nme.bins[2],
            "nme": result.nme.mean,
            "gte": result.gte,
            "score": result.score_mean,
            "seconds": seconds,
        }
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
