"""``jvcr claims``: test the paper's claims with equal, small training budgets."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.console import log
from jvcr.cli.data.storing import table_files
from jvcr.cli.train import TrainingBar, run_outputs
from jvcr.extras import missing
from jvcr.files import write_text
from jvcr.io.outputs import check_outputs


def claims(
    data: Annotated[Path, typer.Option(help="Folder of a training table with 68 points (docs/datasets.md).")],
    out: Annotated[Path, typer.Option(help="Folder of the runs, one per variant. Finished runs are kept.")],
    samples: Annotated[int, typer.Option(help="Training crops per variant.")] = 50_000,
    only: Annotated[str | None, typer.Option(help="Only these variants, e.g. a,c,e.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of initial weights, sampling and augmentation.")] = 0,
    preset: Annotated[str, typer.Option(help="Sizes and recipe: small, nano, paper-size or tiny.")] = "small",
    validations: Annotated[int, typer.Option(min=1, help="Validations of each run: points of its curve.")] = 4,
) -> None:
    """Train JVCR and six alternatives on the same data with the same number of crops, and print a table.

    Variants: a JVCR; b 2D heatmaps, then depth; c direct coordinates; d one volume per landmark; e not coarse to fine;
    f without the end-to-end stage; g without pre-training.
    """
    try:
        from jvcr.data.table import Table
        from jvcr.paper.claims.run import VARIANTS, Cost, Outcome, curves_of, measure_cost, table_of, train_variant
        from jvcr.train.data.backgrounds import read_backgrounds
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    chosen = list(VARIANTS) if only is None else only.split(",")
    unknown = [name for name in chosen if name not in VARIANTS]
    if unknown:
        raise ValueError(f"variants {unknown} are unknown; expected some of {', '.join(VARIANTS)}")
    results = [out / "claims.md", out / "claims.json"]
    for name in chosen:
        results += [out / name / f"{file}.json{ending}" for file in ("outcome", "cost") for ending in ("", ".part")]
    runs = [output for name in chosen for output in run_outputs(out / name)]
    check_outputs([*(("--out", path) for path in results), *runs], table_files(data))
    left = [name for name in chosen if not (out / name / "outcome.json").is_file()]
    if left:
        log.print(f"reading {data} …", highlight=False)
        table, validation, backgrounds = Table(data, "train"), Table(data, "val"), read_backgrounds(data)
    for name in left:
        log.print(f"{name}: {VARIANTS[name].title}", highlight=False)
        with TrainingBar(samples) as bar:
            train_variant(name, table, validation, backgrounds, out / name, bar, samples, seed, preset, validations)
    rows: list[tuple[Outcome, Cost]] = []
    for name in chosen:
        kept = json.loads((out / name / "outcome.json").read_text(encoding="utf-8"))
        try:
            outcome = Outcome(**{**kept, "nme_bins": tuple(kept["nme_bins"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{out / name / 'outcome.json'}: not of this version ({error}); delete it") from error
        if (outcome.preset, outcome.samples, outcome.seed) != (preset, samples, seed):
            raise ValueError(
                f"{out / name} is a run of preset {outcome.preset} with {outcome.samples} samples and seed "
                f"{outcome.seed}; choose another --out"
            )
        if (out / name / "cost.json").is_file():
            cost = Cost(**json.loads((out / name / "cost.json").read_text(encoding="utf-8")))
        else:
            log.print(f"{name}: memory and time …", highlight=False)
            cost = measure_cost(name, out / name, preset)
        rows.append((outcome, cost))
    text = f"{table_of(rows)}\n\nNME on validation during training, mean of bins, percent:\n\n{curves_of(out, chosen)}"
    write_text(out / "claims.md", text + "\n")
    write_text(out / "claims.json", json.dumps([asdict(o) | asdict(c) for o, c in rows], indent=1))
    typer.echo(text)
