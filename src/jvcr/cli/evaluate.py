"""``jvcr evaluate``: score weights, or the predictions of any aligner, on a benchmark."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.progress import Progress

import jvcr
from jvcr.cli.console import log
from jvcr.cli.evaluate_detect import evaluate_detect
from jvcr.cli.evaluate_expression import evaluate_expression, read_marked
from jvcr.cli.options import BackendOption, DeviceOption, PrecisionOption, ThreadsOption, weights_file
from jvcr.detect.named import DetectorName, named_detector
from jvcr.detect.network import DETECT_SIZE
from jvcr.extras import missing
from jvcr.files import write_text
from jvcr.io.outputs import check_outputs
from jvcr.landmarker import Landmarker
from jvcr.runtime.backends import Backend, open_backend
from jvcr.runtime.base import Runtime
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.weights import weights_path

if TYPE_CHECKING:
    from jvcr.data.sample import Sample
    from jvcr.evaluate.scores import System
    from jvcr.paper.tables import OurRow

_BENCHMARKS = "aflw2000-3d, expression, multi-view, table, robustness, detect, paper"


class Boxes(StrEnum):
    true = "true"
    detector = "detector"
    both = "both"


class PixelBase(StrEnum):
    respected = "respected"
    as_published = "as-published"


@dataclass(frozen=True)
class _Settings:
    """The command line's options, as every benchmark reads them."""

    weights: list[str]
    predictions: list[Path]
    boxes: Boxes
    aflw_yaw: Path | None
    aflw_yaw_names: Path | None
    pixel_base: PixelBase
    limit: float
    draws: int
    seed: int
    worst: int
    threads: int
    mirror: bool
    refine: bool
    detector: DetectorName
    detect_size: int | None
    backend: Backend
    device: str
    precision: str
    save_predictions: Path | None
    without: frozenset[str]
    hand: Path | None
    out: Path | None
    json_to: Path | None


def evaluate(
    benchmark: Annotated[
        str | None,
        typer.Argument(
            help="aflw2000-3d; expression (eyes, mouths and brows against hand marks, of a table's validation rows or "
            "AFLW2000-3D); multi-view (the validation faces of a training table that have several views); "
            "table (its validation rows); robustness (worse boxes and photos, of AFLW2000-3D or a table); "
            "detect (faces found, in a table's photographs or AFLW2000-3D); "
            "paper (the paper's tables)."
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="Name of shipped weights, or an ONNX file; may be repeated. Without --predictions: small."),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="Score landmarks of any aligner: .npz or .jsonl (docs/predictions.md); may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json, report.md and report.html.")] = None,
    boxes: Annotated[Boxes, typer.Option(help="How the weights' face boxes are chosen.")] = Boxes.both,
    aflw_yaw: Annotated[
        Path | None, typer.Option(help="AFLW's own yaw of the images: .npy, .npz or .csv (docs/evaluation.md).")
    ] = None,
    aflw_yaw_names: Annotated[
        Path | None,
        typer.Option(help="For a .npy of --aflw-yaw in another order than the folder's: names, one a line."),
    ] = None,
    pixel_base: Annotated[
        PixelBase, typer.Option(help="as-published: take the 1-based labels for 0-based ones, as usual benchmark code.")
    ] = PixelBase.respected,
    limit: Annotated[float, typer.Option(min=0.1, help="Of CED, AUC and failure rate, percent.")] = 10.0,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap draws.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of bootstrap and balanced draws.")] = 0,
    worst: Annotated[int, typer.Option(min=0, help="Faces to draw in the report.")] = 20,
    save_predictions: Annotated[
        Path | None, typer.Option(help="Write our predictions: .npz or .jsonl; the detector's to NAME-detector.")
    ] = None,
    without: Annotated[
        Path | None,
        typer.Option(help="For aflw2000-3d and expression: leave out the images that this file names, one a line."),
    ] = None,
    hand: Annotated[
        Path | None,
        typer.Option(help="For expression: hand marks of AFLW2000-3D's images; hand2d.npz in its folder by default."),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="paper: the paper's tables, the same as the benchmark paper.")
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="For paper: a report.json to take figures from; may be repeated.")
    ] = None,
    json_to: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror/--no-mirror", help="Average with the mirrored crop, as `jvcr predict` does.")
    ] = True,
    refine: Annotated[
        bool | None,
        typer.Option(
            "--refine/--no-refine",
            help="From true boxes, look again, upright and centred (only robustness and expression do by themselves).",
        ),
    ] = None,
    detector: Annotated[
        DetectorName, typer.Option(help="For aflw2000-3d and detect: what finds the faces.")
    ] = DetectorName.OWN,
    detect_size: Annotated[
        int | None, typer.Option(min=64, help="Longer side of the photo for the detector (as of `jvcr predict`).")
    ] = None,
    threads: ThreadsOption = 0,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
) -> None:
    """NME per yaw bin, GTE, head pose and more, with intervals, of weights or of any aligner's predictions."""
    try:
        import scipy  # noqa: F401 - fails here rather than after a minute of predicting
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    if table is not None and table != "paper":
        raise ValueError(f"--table {table!r} is unknown; expected paper")
    if table is not None and benchmark not in (None, "paper"):
        raise ValueError(f"--table paper measures what --root holds by itself; leave {benchmark!r} away")
    benchmark = benchmark or table
    if benchmark is None:
        raise ValueError(f"which benchmark? Expected one of {_BENCHMARKS}, or --table paper")
    if benchmark not in _BENCHMARKS.split(", "):
        raise ValueError(f"benchmark {benchmark!r} is unknown; expected one of {_BENCHMARKS}")
    if root is None and not (benchmark == "paper" and results):
        raise ValueError(f"{benchmark} needs --root, the folder of the data set")
    if save_predictions is not None and save_predictions.suffix not in (".npz", ".jsonl"):
        raise ValueError(f"--save-predictions {save_predictions}: expected an ending .npz or .jsonl")
    settings = _Settings(
        weights=weights or ([] if predictions else ["small"]),
        predictions=predictions or [],
        boxes=boxes,
        aflw_yaw=aflw_yaw,
        aflw_yaw_names=aflw_yaw_names,
        pixel_base=pixel_base,
        limit=limit / 100,
        draws=draws,
        seed=seed,
        worst=worst,
        threads=threads,
        mirror=mirror,
        refine=benchmark in ("robustness", "expression") if refine is None else refine,
        detector=detector,
        detect_size=detect_size,
        backend=backend,
        device=device,
        precision=precision,
        save_predictions=save_predictions,
        without=frozenset() if without is None else _names_in(without),
        hand=hand,
        out=out,
        json_to=json_to,
    )
    _check(benchmark, settings)
    files = [
        *settings.predictions,
        *(results or []),
        *map(weights_file, settings.weights),
        without,
        hand,
        aflw_yaw,
        aflw_yaw_names,
    ]
    free = {"--json": json_to, "--save-predictions": save_predictions}
    reports = [("--out", out / f"report.{ending}") for ending in ("json", "md", "html")] if out is not None else []
    check_outputs([*reports, *free.items()], files)
    check_outputs(free, [root])
    for folder in (out, *(path.parent for path in (json_to, save_predictions) if path is not None)):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    if benchmark == "aflw2000-3d":
        assert root is not None
        _aflw2000(root, settings)
    elif benchmark == "expression":
        assert root is not None
        _expression(root, settings)
    elif benchmark == "multi-view":
        assert root is not None
        _multi_view(root, settings)
    elif benchmark == "table":
        assert root is not None
        _table(root, settings)
    elif benchmark == "robustness":
        assert root is not None
        _robustness(root, settings)
    elif benchmark == "detect":
        assert root is not None
        runtimes = {_name(name): _opened(name, settings) for name in settings.weights}
        record = evaluate_detect(root, detector, runtimes, detect_size, threads, worst, out)
        _write_json(record, json_to)
    else:
        _paper(root, results or [], settings)


_NOT_FOR = {
    "aflw2000-3d": ("hand",),
    "expression": ("aflw_yaw", "aflw_yaw_names", "pixel_base"),
    "table": ("save_predictions", "aflw_yaw", "aflw_yaw_names", "pixel_base", "without", "hand"),
    "multi-view": ("aflw_yaw", "aflw_yaw_names", "pixel_base", "without", "hand"),
    "robustness": ("save_predictions", "aflw_yaw", "aflw_yaw_names", "pixel_base", "without", "hand"),
    "detect": ("save_predictions", "predictions", "aflw_yaw", "aflw_yaw_names", "pixel_base", "without", "hand"),
    "paper": ("save_predictions", "hand"),
}
"""Options that a benchmark could only ignore."""


def _check(benchmark: str, settings: _Settings) -> None:
    """What is wrong with the command line, before anything takes its time.

    Raises:
        ValueError, FileNotFoundError: something is.
    """
    for name in _NOT_FOR.get(benchmark, ()):
        if getattr(settings, name) not in (None, [], frozenset(), PixelBase.respected):
            value = f" {settings.pixel_base.value}" if name == "pixel_base" else ""
            takers = [other for other in _BENCHMARKS.split(", ") if name not in _NOT_FOR.get(other, ())]
            raise ValueError(
                f"benchmark {benchmark} takes no --{name.replace('_', '-')}{value}; it is for {', '.join(takers)}"
            )
    for weights in settings.weights:
        if settings.backend is not Backend.TORCH:
            if Path(weights).suffix == ".safetensors":
                raise ValueError(
                    f"--weights {weights}: weights as training writes them; run `jvcr export` first, or --backend torch"
                )
            weights_path(weights)


def _aflw2000(root: Path, settings: _Settings) -> dict[str, Any]:
    from jvcr.data.formats.aflw2000 import read_aflw2000
    from jvcr.draw.page import import_plotly
    from jvcr.evaluate.evaluation import evaluate_systems
    from jvcr.evaluate.html import to_html
    from jvcr.evaluate.markdown import to_markdown
    from jvcr.evaluate.markups import common_markup, in_one_markup
    from jvcr.evaluate.scores import Options
    from jvcr.evaluate.tables import short
    from jvcr.evaluate.truth import read_truth
    from jvcr.images import read_image

    if settings.out is not None:
        import_plotly()
    truth = read_truth(root, settings.aflw_yaw, settings.aflw_yaw_names, settings.without)
    given = list(_given(settings, truth.names))
    runtimes = _runtimes(settings)
    # Before anything is predicted: can they be compared?
    common_markup([*(r.markup for r in runtimes.values()), *(s.markup for s in given)], truth.markup)
    systems: list[System] = []

    def samples() -> Iterator[Sample]:
        return (sample for sample in read_aflw2000(root) if sample.name not in settings.without)

    for system in (*_own(settings, runtimes, samples, len(truth.names)), *given):
        systems.append(_renamed(system, systems))
    systems, truth = in_one_markup(systems, truth)
    options = Options(
        limit=settings.limit, draws=settings.draws, seed=settings.seed, pixel_base=settings.pixel_base.value
    )
    evaluation = evaluate_systems(systems, truth, options)
    typer.echo("\n".join([*evaluation.introduction, "", short(evaluation.scores).to_text()]))
    record = evaluation.to_dict()
    _write_json(record, settings.out and settings.out / "report.json")
    if settings.out is not None:
        (settings.out / "report.md").write_text(to_markdown(evaluation, settings.worst), encoding="utf-8")
        page = to_html(evaluation, lambda name: read_image(root / f"{name}.jpg"), settings.worst)
        (settings.out / "report.html").write_text(page, encoding="utf-8")
        for name in ("report.json", "report.md", "report.html"):
            typer.echo(f"→ {settings.out / name}")
    _write_json(record, settings.json_to)
    return record


def _expression(root: Path, settings: _Settings) -> None:
    from jvcr.draw.page import import_plotly
    from jvcr.evaluate.markups import points_in
    from jvcr.markups.markup import MARKUP_68

    if settings.out is not None:
        import_plotly()
    truth, samples, read = read_marked(root, settings.hand, settings.without)
    given = list(_given(settings, truth.names))
    runtimes = _runtimes(settings)
    systems: list[System] = []
    for system in (*_own(settings, runtimes, lambda: iter(samples), len(samples)), *given):
        in_68 = replace(system, points_img=points_in(system, MARKUP_68), markup=MARKUP_68)
        systems.append(_renamed(in_68, systems))
    record = evaluate_expression(systems, truth, read, settings.worst, settings.out)
    _write_json(record, settings.out and settings.out / "report.json")
    if settings.out is not None:
        for name in ("report.json", "report.md", "report.html"):
            typer.echo(f"→ {settings.out / name}")
    _write_json(record, settings.json_to)


def _names_in(path: Path) -> frozenset[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected names of images, one a line")
    names = frozenset(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if not names:
        raise ValueError(f"{path}: is empty; expected names of images, one a line")
    return names


def _multi_view(root: Path, settings: _Settings) -> dict[str, Any]:
    from jvcr.evaluate.evaluation import without_nan
    from jvcr.evaluate.multiview import read_views, score_views, views_table

    views = read_views(root)
    given = list(_given(settings, views.names, (66, 68)))
    systems: list[System] = []
    runtimes = _runtimes(settings, (66, 68))
    for system in (*_own(settings, runtimes, lambda: iter(views.samples), len(views.names)), *given):
        systems.append(_renamed(system, systems))
    scores = [score for s in systems for score in score_views(s, views, settings.draws, settings.seed)]
    table = views_table(scores, views.truth_cvgtce)
    typer.echo(table.to_text())
    record = without_nan(
        {
            "benchmark": "multi-view",
            "version": jvcr.__version__,
            "date": datetime.date.today().isoformat(),
            "options": {"draws": settings.draws, "seed": settings.seed},
            "truth_cvgtce": views.truth_cvgtce,
            "systems": [asdict(score) for score in scores],
        }
    )
    _write_json(record, settings.out and settings.out / "report.json")
    if settings.out is not None:
        (settings.out / "report.md").write_text(table.to_markdown() + "\n", encoding="utf-8")
        for name in ("report.json", "report.md"):
            typer.echo(f"→ {settings.out / name}")
    _write_json(record, settings.json_to)
    return dict(record)


def _table(root: Path, settings: _Settings) -> None:
    try:
        from jvcr.data.derive import boxed_samples, converted_points
        from jvcr.data.table import Table
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    from jvcr.evaluate.evaluation import without_nan
    from jvcr.evaluate.run import predict_samples, report

    if settings.predictions:
        raise ValueError("--predictions are scored on aflw2000-3d and multi-view only")
    table = Table(root, "val")
    record = {}
    for weights in settings.weights:
        runtime = _opened(weights, settings)
        samples = (table[i] for i in range(len(table)))
        # The crops are around the box of the weights' own landmarks, as in training, whatever is scored.
        boxed = boxed_samples(samples, runtime.markup)
        predicted = predict_samples(_last_look(runtime, settings), boxed, rough=_rough(runtime, settings))
        markup = table.markup
        points = converted_points(predicted.points_img, runtime.markup, markup)
        if points is not None:
            predicted = replace(predicted, points_img=points, target_img=table.points)
        elif converted_points(table.points, markup, runtime.markup) is not None:
            markup = runtime.markup
        else:
            runtime.markup.derivation_from(markup)  # raises, and says what is wrong
        result = report(predicted, markup.normaliser)
        name = "validation rows" if len(settings.weights) == 1 else f"validation rows, {_name(weights)}"
        typer.echo(f"{name}: {result}, {markup.n_points} points ({markup.name})")
        record[name] = {"markup": markup.name, "n_points": markup.n_points, **result.to_dict()}
    record = without_nan(record)
    _write_json(record, settings.out and settings.out / "report.json")
    _write_json(record, settings.json_to)


def _robustness(root: Path, settings: _Settings) -> None:
    from jvcr.data.derive import boxed_samples
    from jvcr.data.formats.aflw2000 import read_aflw2000
    from jvcr.data.table import Table
    from jvcr.evaluate.evaluation import without_nan
    from jvcr.evaluate.robustness import CONDITIONS, measure, robustness_table

    if settings.predictions:
        raise ValueError("robustness is measured with networks; it takes no --predictions")
    if (root / "labels.npz").is_file():
        table = Table(root, "val")
        name, samples = "validation rows", [table[row] for row in range(len(table))]
    else:
        name, samples = "AFLW2000-3D", list(read_aflw2000(root))
    record, texts = {}, []
    for weights in settings.weights:
        runtime = _opened(weights, settings)
        rough = _rough(runtime, settings)
        own = list(boxed_samples(samples, runtime.markup))
        with _Bar(f"jvcr {_name(weights)}", len(own) * len(CONDITIONS)) as bar:
            rows = measure(
                _last_look(runtime, settings),
                partial(bar.track, own, []),
                rough,
                seed=settings.seed,
                limit=settings.limit,
            )
        how = f"{'two looks' if rough else 'one look'}{', mirrored too' if settings.mirror else ''}"
        title = f"jvcr {_name(weights)}, {name}, {how}: NME by yaw and GTE, percent"
        shown = robustness_table(rows, title, settings.limit)
        typer.echo(shown.to_text())
        texts.append(shown.to_markdown())
        record[_name(weights)] = {"look": how, "rows": [asdict(row) for row in rows]}
    record = without_nan({"benchmark": "robustness", "samples": name, "faces": len(samples), "systems": record})
    _write_json(record, settings.out and settings.out / "report.json")
    if settings.out is not None:
        (settings.out / "report.md").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    _write_json(record, settings.json_to)


def _paper(root: Path | None, results: list[Path], settings: _Settings) -> None:
    from jvcr.paper.tables import paper_tables, read_results, rows_of_aflw2000, rows_of_views

    aflw2000: list[OurRow] = []
    views: list[OurRow] = []
    for path in results:
        more_aflw2000, more_views = read_results(path)
        aflw2000 += more_aflw2000
        views += more_views
    if root is not None:
        # The tables come last; what the two benchmarks print themselves goes above.
        images = next(
            (f for f in (root, *sorted(p for p in root.glob("*") if p.is_dir())) if any(f.glob("image*.mat"))), None
        )
        labels = (root / "labels.npz").is_file()
        if images is None and not labels:
            raise FileNotFoundError(
                f"{root}: neither AFLW2000-3D (image*.mat, here or one folder below) nor a training table (labels.npz)"
            )
        quiet = _without_files(settings)
        if images is not None:
            aflw2000 += rows_of_aflw2000(_aflw2000(images, quiet), "measured here")
            typer.echo("")
        if labels and not settings.predictions:
            views += rows_of_views(_multi_view(root, quiet), "measured here")
            typer.echo("")
    tables = paper_tables(aflw2000, views)
    typer.echo("\n\n".join(table.to_text() for table in tables))
    record = {
        "benchmark": "paper",
        "version": jvcr.__version__,
        "date": datetime.date.today().isoformat(),
        "tables": [asdict(table) for table in tables],
    }
    _write_json(record, settings.out and settings.out / "report.json")
    if settings.out is not None:
        text = "\n\n".join(table.to_markdown() for table in tables)
        (settings.out / "report.md").write_text(text + "\n", encoding="utf-8")
    _write_json(record, settings.json_to)


def _last_look(runtime: Runtime, settings: _Settings) -> Runtime:
    return MirrorAveraged(runtime) if settings.mirror else runtime


def _rough(runtime: Runtime, settings: _Settings) -> Runtime | None:
    """What takes the first of two looks; None where there is only one."""
    return runtime if settings.refine else None


def _opened(weights: str, settings: _Settings) -> Runtime:
    return open_backend(
        weights,
        settings.backend,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
    )


def _runtimes(settings: _Settings, accepted: tuple[int, ...] | None = None) -> dict[str, Runtime]:
    """All weights, opened before the first of them works.

    Raises:
        ValueError: a number of landmarks that is not accepted, or several weights and one file to save to.
    """
    if settings.save_predictions is not None and len(settings.weights) != 1:
        raise ValueError(f"--save-predictions takes one --weights, not {len(settings.weights)}")
    runtimes = {weights: _opened(weights, settings) for weights in settings.weights}
    for weights, runtime in runtimes.items():
        if accepted is not None and runtime.markup.n_points not in accepted:
            expected = " or ".join(map(str, accepted))
            raise ValueError(f"weights {weights}: {runtime.markup.n_points} landmarks; this benchmark takes {expected}")
    return runtimes


def _own(settings: _Settings, runtimes: dict[str, Runtime], samples: Any, count: int) -> Iterator[System]:
    """Predictions of our weights from true boxes, the detector's, or both; saved as soon as they are there."""
    from jvcr.data.derive import boxed_samples
    from jvcr.evaluate.predictions import PredictionSet, write_predictions
    from jvcr.evaluate.run import predict_detected, predict_samples
    from jvcr.evaluate.scores import System

    for weights, runtime in runtimes.items():
        markup, name = runtime.markup, f"jvcr {_name(weights)}"
        about = {"tool": name, "version": jvcr.__version__, "date": datetime.date.today().isoformat()}
        if settings.boxes != Boxes.detector:
            true_boxes: list[list[float]] = []
            with _Bar(f"{name}, true boxes", count) as bar:
                boxed = bar.track(boxed_samples(samples(), markup), true_boxes)
                predicted = predict_samples(_last_look(runtime, settings), boxed, rough=_rough(runtime, settings))
            if settings.save_predictions is not None:
                write_predictions(
                    settings.save_predictions,
                    PredictionSet(
                        predicted.names,
                        predicted.points_img,
                        np.array(true_boxes),
                        markup,
                        about | {"boxes": "true boxes"},
                    ),
                )
            yield System(name, "true boxes", predicted.points_img, markup=markup)
        if settings.boxes != Boxes.true:
            with _Bar(f"{name}, its detector's boxes", count) as bar:
                boxed = bar.track(boxed_samples(samples(), markup), [])
                detector = named_detector(settings.detector, settings.detect_size or DETECT_SIZE, settings.threads)
                landmarker = Landmarker(backend=runtime, detector=detector, mirror=settings.mirror)
                found = predict_detected(landmarker, boxed)
            text = "the detector's boxes"
            if settings.save_predictions is not None:
                path = settings.save_predictions
                if settings.boxes == Boxes.both:
                    path = path.with_name(f"{path.stem}-detector{path.suffix}")
                write_predictions(
                    path, PredictionSet(found.names, found.points_img, found.boxes, markup, about | {"boxes": text})
                )
            doubtful = int(((found.overlaps > 0) & (found.overlaps < 0.5)).sum())
            note = (
                f"of the faces found, the one that overlaps the true box most is taken; {doubtful} of these overlap it "
                f"by less than 0.5 (intersection over union); {found.extra} other faces were found and left aside."
            )
            yield System(name, text, found.points_img, note, markup)


def _given(settings: _Settings, names: list[str], accepted: tuple[int, ...] | None = None) -> Iterator[System]:
    """Predictions of files."""
    from jvcr.evaluate.predictions import read_predictions
    from jvcr.evaluate.scores import System

    for path in settings.predictions:
        predictions = read_predictions(path)
        if accepted is not None and predictions.markup.n_points not in accepted:
            expected = " or ".join(map(str, accepted))
            raise ValueError(f"{path}: {predictions.markup.n_points} landmarks a face; this benchmark takes {expected}")
        try:
            points = predictions.of(names)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        about = predictions.about
        tool = " ".join(str(about[key]) for key in ("tool", "version") if about.get(key)) or path.stem
        unknown = len(set(predictions.ids) - set(names))
        absent = len(set(names) - set(predictions.ids))
        notes = [f"from {path.name}"]
        notes += [f"{absent} images are not in the file and count as missed"] if absent else []
        notes += [f"{unknown} of its ids are none of the images"] if unknown else []
        notes += [] if predictions.has_depth else ["no depth"]
        yield System(
            tool, str(about.get("boxes", "boxes not stated")), points, "; ".join(notes) + ".", predictions.markup
        )


def _renamed(system: System, others: list[System]) -> System:
    from jvcr.evaluate.scores import renamed

    return renamed(system, others)


def _name(weights: str) -> str:
    return Path(weights).stem if Path(weights).suffix else weights


def _without_files(settings: _Settings) -> _Settings:
    return replace(settings, out=None, json_to=None)


def _write_json(record: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        write_text(path, json.dumps(record, indent=1, allow_nan=False))


class _Bar:
    """A progress bar on stderr over the samples of one pass."""

    def __init__(self, title: str, count: int) -> None:
        self._progress = Progress(console=log, transient=True)
        self._task = self._progress.add_task(title, total=count)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def track(self, samples: Iterable[Sample], boxes: list[list[float]]) -> Iterator[Sample]:
        """Pass the samples on; their true boxes are added to ``boxes``."""
        for sample in samples:
            boxes.append(sample.box.to_list())
            yield sample
            self._progress.advance(self._task)
