from __future__ import annotations

import copy
import csv
import shutil
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from jvcr.data.table import Table
from jvcr.evaluate.errors import LandmarkErrors
from jvcr.markups.markup import MARKUP_68
from jvcr.model.checkpoint import load_weights
from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR
from jvcr.train.config import Stage, TrainConfig, two_stages
from jvcr.train.data.augment import Augmentation
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.data.stream import Batch, Sampling, batches
from jvcr.train.landmarks import LandmarkTask
from jvcr.train.loop import (
    _CHECKPOINT_FIELDS,
    Hardware,
    Loop,
    Progress,
    TrainingFailed,
    ema_of,
    learning_rate,
    stage_at,
)
from jvcr.train.losses import LossConfig, coordinate_loss, voxel_loss
from jvcr.train.targets import rasterise

STILL = Augmentation(**dict.fromkeys(Augmentation.__dataclass_fields__, 0.0))

# Seven steps of four crops: three side by side, four end to end; validation after steps 2, 4, 6 and 7.
SHORT = TrainConfig(
    model=PRESETS["tiny"],
    stages=(
        Stage("first", 12, False, 20.0, lr=2e-3, final_lr=2e-3, warmup_samples=4, volume_noise=0.05),
        Stage("second", 16, True, 20.0, lr=2e-3, final_lr=1e-4),
    ),
    batch_size=4,
    precision="32-true",
    validate_every=8,
    pictures=2,
    log_every=2,
    checkpoint_seconds=1e9,
    workers=0,
)


class Silent:
    def on_progress(self, progress: Progress) -> None: ...

    def on_validation(self, samples: int, result: LandmarkErrors) -> None: ...


class Killed(Exception):
    pass


class DiesAt(Silent):
    """Ends the run in the middle of a validation, before its result is saved."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def on_validation(self, samples: int, result: LandmarkErrors) -> None:
        if samples == self.samples:
            raise Killed


def make(config: TrainConfig, table: Table, out: Path, listener: Silent | None = None) -> Loop:
    return Loop(
        LandmarkTask(config, MARKUP_68, table, table, Backgrounds()), out, listener or Silent(), Hardware("cpu")
    )


def assert_same(a: Loop, b: Loop) -> None:
    assert a.step == b.step
    for ours, theirs in ((a.model, b.model), (a.average, b.average)):
        for (name, want), got in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            assert torch.equal(want, got), name


@pytest.fixture(scope="module")
def uninterrupted(four_faces: Table, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    training = make(SHORT, four_faces, tmp_path_factory.mktemp("run"))
    assert training.run() is not None
    return training


def losses(network: JVCR, batch: Batch) -> tuple[float, float]:
    side = network.config.volume_size
    true = [rasterise(batch.points_unit, (d, side, side)) for d in network.config.depths]
    with torch.no_grad():
        output = network(batch.crops)
    return (
        voxel_loss(output.volumes, true, LossConfig()).item(),
        coordinate_loss(output.points_unit, batch.points_unit, batch.weight, LossConfig(), side).item(),
    )


def test_one_batch_overfits(four_faces: Table, tmp_path: Path) -> None:
    # The same four crops in every batch; the averaged network is what is judged.
    config = replace(
        SHORT,
        stages=(Stage("overfit", 4 * 120, True, 20.0, lr=5e-3, final_lr=5e-4),),
        augmentation=STILL,
        ema_decay=0.8,
        validate_every=10**9,
    )
    source = batches(
        four_faces,
        size_px=64,
        markup=MARKUP_68,
        augmentation=STILL,
        sampling=Sampling(),
        backgrounds=Backgrounds(),
        batch_size=4,
        seed=1,
        workers=0,
    )
    batch = next(source)
    training = make(config, four_faces, tmp_path)
    vox_before, coord_before = losses(training.average, batch)
    result = training.run()
    vox_after, coord_after = losses(training.average, batch)
    assert vox_after < vox_before / 8
    assert coord_after < coord_before / 8
    assert result is not None and result.nme.mean < 0.05


def test_files_of_a_run(uninterrupted: Loop) -> None:
    network, header = load_weights(uninterrupted.out / "model.safetensors")
    for (name, want), got in zip(
        uninterrupted.average.state_dict().items(), network.state_dict().values(), strict=True
    ):
        assert torch.equal(want, got), name
    assert header.markup == MARKUP_68
    assert header.about["samples_seen"] == 28
    assert header.about["validation"]["faces"] == 4
    with (uninterrupted.out / "log.csv").open(encoding="utf-8") as file:
        assert [row["samples"] for row in csv.DictReader(file)] == ["8", "16", "24", "28"]


def test_run_resumed_after_every_step_equals_the_uninterrupted_one(
    uninterrupted: Loop, four_faces: Table, tmp_path: Path
) -> None:
    for steps in range(1, 8):
        training = make(SHORT, four_faces, tmp_path)
        training.run(seconds=0)
        assert training.step == steps
    assert_same(training, uninterrupted)
    assert_same(make(SHORT, four_faces, tmp_path), uninterrupted)


def test_run_that_died_between_checkpoints_equals_the_uninterrupted_one(
    uninterrupted: Loop, four_faces: Table, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        make(SHORT, four_faces, tmp_path, DiesAt(24)).run()
    # The checkpoint was written before the validation, which is made up for.
    training = make(SHORT, four_faces, tmp_path)
    assert training.samples == 24
    training.run()
    assert_same(training, uninterrupted)
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        assert [row["samples"] for row in csv.DictReader(file)] == ["8", "16", "24", "28"]


def test_finished_run_has_nothing_left_to_do(uninterrupted: Loop, four_faces: Table) -> None:
    again = make(SHORT, four_faces, uninterrupted.out)
    again.run()
    assert_same(again, uninterrupted)


def test_records_of_a_run(uninterrupted: Loop) -> None:
    out = uninterrupted.out
    assert sorted(path.name for path in (out / "pictures").iterdir()) == [f"0000000{n}.jpg" for n in ("08", 16, 24, 28)]
    assert list((out / "tensorboard").iterdir())
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("validation/nme")] == [8, 16, 24, 28]
    with (out / "losses.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["samples"] for row in rows] == ["8", "16", "24"]
    assert all(
        float(row["loss"]) == pytest.approx(float(row["voxel_loss"]) + 20 * float(row["coordinate_loss"]))
        for row in rows
    )


def test_accumulated_gradients_are_those_of_the_whole_batch(four_faces: Table, tmp_path: Path) -> None:
    # In evaluation mode batch norm does not tie the crops of a batch together, so the sum must be exact.
    updates = []
    for parts in (1, 2, 4):
        config = replace(SHORT, accumulate=parts, optimizer="rmsprop", augmentation=STILL)
        training = make(config, four_faces, tmp_path / str(parts))
        training.model.eval()
        training.wrapped.eval()
        batch = next(training._stream())
        training._train_step(batch, SHORT.stages[1], 0.0)
        updates.append(torch.cat([p.grad.flatten() for p in training.model.parameters() if p.grad is not None]))
    assert updates[0].abs().max() > 0
    for other in updates[1:]:
        torch.testing.assert_close(other, updates[0], rtol=1e-3, atol=1e-6)


def test_folder_with_another_table_is_refused(uninterrupted: Loop, four_faces: Table) -> None:
    moved = copy.copy(four_faces)
    moved.points = four_faces.points + np.float32(0.5)
    with pytest.raises(ValueError, match="the training table: other labels"):
        make(SHORT, moved, uninterrupted.out)


def test_folder_with_other_images_under_the_same_labels_is_refused(
    make_table: Callable[..., Path], tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
        make_table(folder, (5.0, -20.0))
    # The labels stay; the two faces change places in the tar file.
    with tarfile.open(folders[0] / "faces.tar") as old, tarfile.open(folders[1] / "faces.tar", "w") as new:
        for name, source in (("face0.webp", "face1.webp"), ("face1.webp", "face0.webp")):
            member = tarfile.TarInfo(name)
            member.size = old.getmember(source).size
            new.addfile(member, old.extractfile(source))
    one, other = (Table(folder, "train") for folder in folders)
    assert one.image_digest != other.image_digest
    make(SHORT, one, tmp_path / "run").save()
    with pytest.raises(ValueError, match=r"last\.ckpt comes from a run .*the training table: other images\)"):
        make(SHORT, other, tmp_path / "run")
    assert make(SHORT, Table(folders[0], "train"), tmp_path / "run").step == 0


@pytest.fixture(scope="module")
def begun(four_faces: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has just begun."""
    folder = tmp_path_factory.mktemp("begun")
    make(SHORT, four_faces, folder).save()
    return folder


@pytest.fixture
def saved(begun: Path, tmp_path: Path) -> Path:
    """The checkpoint of that run, in a folder of its own."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return tmp_path / "last.ckpt"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_checkpoint_that_is_cut_short_is_named(saved: Path, four_faces: Table, share: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        ValueError, match=r"last\.ckpt is not a complete checkpoint of `jvcr train`: it is truncated, or not"
    ):
        make(SHORT, four_faces, saved.parent)


def test_the_command_line_says_which_checkpoint_is_damaged(
    make_table: Callable[..., Path], tmp_path: Path, run_jvcr: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "data").mkdir()
    data = make_table(tmp_path / "data", (5.0, -20.0, 45.0, -75.0), ("train", "train", "train", "val"))
    command = ["train", "--data", str(data), "--out", str(tmp_path / "run")]
    command += ["--preset", "tiny", "--samples", "640", "--minutes", "0", "--workers", "0"]
    assert run_jvcr(*command, cwd=tmp_path).returncode == 0
    path = tmp_path / "run" / "last.ckpt"
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(half)
    done = run_jvcr(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert f"error: {path} is not a complete checkpoint of `jvcr train`: it is truncated" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == half


@pytest.mark.parametrize("data", [b"\x80\x04K\x01.", b"PK\x03\x04", b"not a checkpoint"])
def test_something_else_is_no_checkpoint(saved: Path, four_faces: Table, data: bytes) -> None:
    saved.write_bytes(data)
    with pytest.raises(ValueError, match=r"last\.ckpt is not a complete checkpoint .*model\.safetensors"):
        make(SHORT, four_faces, saved.parent)


@pytest.mark.parametrize("field", _CHECKPOINT_FIELDS)
def test_a_field_that_a_checkpoint_lacks_is_named(saved: Path, four_faces: Table, field: str) -> None:
    state = torch.load(saved, weights_only=True)
    assert state.keys() == _CHECKPOINT_FIELDS.keys()
    torch.save({key: value for key, value in state.items() if key != field}, saved)
    with pytest.raises(
        ValueError, match=rf"last\.ckpt is not a complete checkpoint .*: field '{field}' is missing\. Restore"
    ):
        make(SHORT, four_faces, saved.parent)
    torch.save({**state, field: "text"}, saved)
    with pytest.raises(ValueError, match=rf"last\.ckpt .*: field '{field}' is a str\. Restore"):
        make(SHORT, four_faces, saved.parent)


@pytest.mark.parametrize("place", [0.1, 0.35, 0.6, 0.85])
def test_a_checkpoint_with_a_flipped_bit_is_refused(saved: Path, four_faces: Table, place: float) -> None:
    with zipfile.ZipFile(saved) as archive:
        largest = sorted(archive.infolist(), key=lambda entry: entry.file_size)[-4:]
    data = bytearray(saved.read_bytes())
    entry = largest[int(4 * place)]
    # The name and an extra field of a length of its own come between the header and the bytes.
    name, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
    data[entry.header_offset + 30 + name + extra + int(place * entry.file_size)] ^= 0x10
    saved.write_bytes(data)
    with pytest.raises(ValueError, match=r"last\.ckpt is not a complete checkpoint .*: its bytes have changed"):
        make(SHORT, four_faces, saved.parent)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", -1),
        ("step", True),
        ("step", 10**15),
        ("validated", {}),
        ("validated", {"samples": "8"}),
        ("last", {"lr": "1e-3"}),
        ("last", {"lr": torch.zeros(2)}),
    ],
)
def test_a_field_with_an_impossible_value_is_named(saved: Path, four_faces: Table, field: str, value: object) -> None:
    torch.save({**torch.load(saved, weights_only=True), field: value}, saved)
    with pytest.raises(ValueError, match=rf"last\.ckpt is not a complete checkpoint .*: field '{field}' (is|has) "):
        make(SHORT, four_faces, saved.parent)


@pytest.mark.parametrize("field", ["model", "average", "optimizer"])
def test_a_field_of_another_network_is_named(saved: Path, four_faces: Table, field: str) -> None:
    state = torch.load(saved, weights_only=True)
    torch.save({**state, field: {}}, saved)
    with pytest.raises(ValueError, match=rf"last\.ckpt .*: field '{field}' does not fit the network"):
        make(SHORT, four_faces, saved.parent)


def test_start_from_weights(uninterrupted: Loop, four_faces: Table, tmp_path: Path) -> None:
    weights = uninterrupted.out / "model.safetensors"
    task = LandmarkTask(SHORT, MARKUP_68, four_faces, four_faces, Backgrounds(), weights)
    training = Loop(task, tmp_path, Silent(), Hardware("cpu"))
    assert task.taken is not None and task.taken.new == ()
    for network in (training.model, training.average):
        for value, theirs in zip(network.parameters(), uninterrupted.average.parameters(), strict=True):
            assert value.equal(theirs)


def test_folder_of_another_run_is_refused(uninterrupted: Loop, four_faces: Table) -> None:
    other = replace(SHORT, seed=3, clip_norm=0.5)
    different = r"\(clip_norm: 1.0 → 0.5; seed: 0 → 3\)"
    with pytest.raises(ValueError, match=rf"last\.ckpt comes from a run with other settings {different}"):
        make(other, four_faces, uninterrupted.out)


def test_a_continued_run_may_have_other_workers(uninterrupted: Loop, four_faces: Table) -> None:
    other = replace(SHORT, workers=1, checkpoint_seconds=7.0)
    assert make(other, four_faces, uninterrupted.out).step == uninterrupted.step


def spoil(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("nan"))


@pytest.mark.parametrize(
    ("validate_every", "seconds"),
    [(10**9, 0.0), (4, 0.0), (10**9, 1e9)],
    ids=["checkpoint", "validation", "end of run"],
)
def test_nan_loss_fails_and_leaves_the_last_checkpoint(
    four_faces: Table, tmp_path: Path, validate_every: int, seconds: float
) -> None:
    config = replace(SHORT, validate_every=validate_every)
    training = make(config, four_faces, tmp_path)
    training.run(seconds=0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    spoil(training.model)
    with pytest.raises(TrainingFailed, match=r"loss is nan[\s\S]*last\.ckpt"):
        training.run(seconds=seconds)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_step_that_breaks_the_weights_is_not_saved(four_faces: Table, tmp_path: Path) -> None:
    # The loss of the first step is still finite; its update is not.
    first = replace(SHORT.stages[0], lr=float("inf"), warmup_samples=0)
    training = make(replace(SHORT, stages=(first, SHORT.stages[1])), four_faces, tmp_path)
    with pytest.raises(TrainingFailed):
        training.run(seconds=0)
    assert not (tmp_path / "last.ckpt").exists()


def test_stage_at_by_hand() -> None:
    first, second = SHORT.stages
    assert [stage_at(SHORT, n) for n in (0, 11, 12, 27)] == [(first, 0), (first, 11), (second, 0), (second, 15)]
    assert stage_at(SHORT, 28) == (second, 16)


def test_learning_rate_by_hand() -> None:
    stage = Stage("s", 110, True, 1.0, lr=3.0, final_lr=1.0, warmup_samples=10)
    # A tenth, all, and again all of it; then 1 + 2 · (1 + cos) / 2 at a half, a third and the whole way.
    expected = {0: 0.3, 9: 3.0, 10: 3.0, 60: 2.0, 110: 1.0, 500: 1.0}
    assert {done: learning_rate(stage, done) for done in expected} == pytest.approx(expected)
    assert learning_rate(replace(stage, samples=160), 60) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("step", "decay", "expected"), [(0, 0.999, 10.0), (8, 0.999, 6.0), (10**6, 0.9, 2.0), (5, 0.0, 11.0)]
)
def test_ema_by_hand(step: int, decay: float, expected: float) -> None:
    old, new = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    for network, value in ((old, 1.0), (new, 11.0)):
        nn.init.constant_(network.weight, value)
        network.running_mean.fill_(value)
    new.num_batches_tracked.fill_(7)
    ema = ema_of(old, decay)
    # As after so many steps.
    ema.n_averaged.fill_(step + 1)
    ema.update_parameters(new)
    # 0.1, 9 / 18, 0.9 and nothing of the old are kept; counters are copied.
    torch.testing.assert_close(ema.module.weight, torch.full((2,), expected))
    torch.testing.assert_close(ema.module.running_mean, torch.full((2,), expected))
    assert ema.module.num_batches_tracked == 7
    assert old.weight.requires_grad and not ema.module.weight.requires_grad and not ema.module.training


def test_ema_of_several_steps_is_the_sum_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 2.0)
    ema = ema_of(network, 0.2)
    for value in (3.0, 5.0, 9.0):
        nn.init.constant_(network.weight, value)
        ema.update_parameters(network)
    # Kept are 1 / 10, 2 / 11, and at most 0.2 of 3 / 12.
    expected = 2.0
    for value, keep in ((3.0, 1 / 10), (5.0, 2 / 11), (9.0, 0.2)):
        expected = keep * expected + (1 - keep) * value
    assert float(ema.module.weight) == pytest.approx(expected, rel=1e-6)


def test_a_checkpoint_without_names_of_landmarks_goes_on(four_faces: Table, tmp_path: Path) -> None:
    """Version 0.1 stored none for the 68 points."""
    training = make(SHORT, four_faces, tmp_path)
    training.run(seconds=0)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    state["task"]["markup"]["names"] = []
    torch.save(state, tmp_path / "last.ckpt")
    assert make(SHORT, four_faces, tmp_path).step == 1
    state["task"]["markup"]["names"] = ["other"] * 68
    torch.save(state, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="markup: ibug-68 → ibug-68"):
        make(SHORT, four_faces, tmp_path)


def test_two_stages_and_scaling_by_hand() -> None:
    config = replace(SHORT, stages=two_stages(1000, first_share=0.15, lr=2e-3, coordinate_weight=20.0))
    first, second = config.stages
    assert (first.samples, first.warmup_samples, first.end_to_end, first.final_lr) == (150, 10, False, 2e-3)
    assert (second.samples, second.end_to_end, second.lr, second.final_lr) == (850, True, 2e-3, 2e-5)
    shorter = config.scaled_to(200)
    assert [(s.samples, s.warmup_samples) for s in shorter.stages] == [(30, 2), (170, 0)]
    assert shorter.total_samples == 200
