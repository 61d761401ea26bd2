"""``jvcr data check``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from jvcr.cli.console import log
from jvcr.cli.data.reader_options import reader_options
from jvcr.cli.data.storing import table_files
from jvcr.cli.options import weights_file
from jvcr.extras import missing
from jvcr.files import write_text
from jvcr.io.outputs import check_outputs

if TYPE_CHECKING:
    from jvcr.data.doctor.entries import Entry, Source
    from jvcr.data.doctor.report import Report

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check(
    where: Annotated[
        list[str], typer.Argument(metavar="[FORMAT] ROOT", help="Format (default: table) and folder of the data set.")
    ],
    json_to: Annotated[Path | None, typer.Option("--json", help="Also write all findings to this file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (.png) of findings and samples.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    with_model: Annotated[
        bool,
        typer.Option("--with-model", help="Also compare labels with the network's predictions; about 10 ms per face."),
    ] = False,
    weights: Annotated[str, typer.Option(help="For --with-model: name of shipped weights, or an ONNX file.")] = "small",
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Allow unmarked landmarks and labels without depth in a table.")
    ] = False,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the format's reader; may be repeated.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="[FORMAT:]ROOT", help="Another data set (a benchmark) that must not share photos with this one."
        ),
    ] = None,
    duplicates: Annotated[bool, typer.Option(help="Search for duplicate images.")] = True,
    show: Annotated[int, typer.Option(min=1, help="Number of names to print for each finding.")] = 3,
) -> None:
    """Check a data set for unreadable images, wrong labels, mirrored or mis-ordered points, duplicates and leaks.

    The exit code is 1 if there are errors (--strict: or warnings).
    """
    try:
        from jvcr.data.doctor.check import SecondOpinion
        from jvcr.data.doctor.check import check as check_source
        from jvcr.data.doctor.sources import open_source
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    from jvcr.images import write_image

    if len(where) > 2:
        raise ValueError(f"expected [FORMAT] ROOT, got {len(where)} arguments: {' '.join(where)}")
    if sheet is not None and sheet.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ValueError(f"--sheet {sheet}: expected a file name that ends in .png")
    roots = [Path(where[-1]), against and Path(against.rpartition(":")[2]), against]
    options = reader_options(option or [])
    # Options may name files (a markup, for example). Values that are no files do no harm.
    # Table files are listed one by one, so that a hard link to one of them is also recognised.
    files = [file for root in roots if root and Path(root).is_dir() for file in table_files(Path(root))]
    inputs = [*roots, *files, *options.values(), weights_file(weights)]
    check_outputs({"--json": json_to, "--sheet": sheet}, inputs)
    source = open_source(where[0] if len(where) == 2 else "table", Path(where[-1]), incomplete, options)
    other: Source | None = None
    if against is not None:
        if not duplicates:
            raise ValueError("--against compares images; it cannot be combined with --no-duplicates")
        format_, _, root = against.rpartition(":") if not Path(against).exists() else ("", "", against)
        other = open_source(format_ or "table", Path(root))
    opinion: SecondOpinion | None = None
    if with_model:
        from jvcr.data.doctor.opinion import ModelOpinion
        from jvcr.runtime.onnx import OnnxRuntime
        from jvcr.weights import weights_path

        opinion = ModelOpinion(OnnxRuntime(weights_path(weights)))
    with Progress(console=log, transient=True) as progress:

        def shown(entries: Iterable[Entry]) -> Iterator[Entry]:
            task = progress.add_task("samples", total=None)
            for number, entry in enumerate(entries, 1):
                progress.update(task, completed=number, description=f"samples {number}")
                yield entry
            progress.update(task, description="comparing")

        report = check_source(source, duplicates=duplicates, against=other, opinion=opinion, progress=shown)
    print_report(report, show)
    if json_to is not None:
        json_to.parent.mkdir(parents=True, exist_ok=True)
        write_text(json_to, json.dumps(report.to_dict(), indent=1, ensure_ascii=False))
    if sheet is not None:
        from jvcr.data.doctor.contact_sheet import contact_sheet

        sheet.parent.mkdir(parents=True, exist_ok=True)
        write_image(sheet, contact_sheet(report, source))
        typer.echo(f"contact sheet: {sheet}")
    if report.exit_code(strict):
        raise typer.Exit(1)


def print_report(report: Report, names: int = 3) -> None:
    """Print counts and findings to stdout."""
    console = Console(highlight=False, soft_wrap=True)
    counts = report.counts
    console.print(f"[bold]{escape(report.title)}[/]: {counts.samples} samples, {counts.groups} groups")
    for title, values in (
        ("split", counts.splits),
        ("source", counts.sources),
        ("yaw", counts.yaw_bins),
        ("markup", counts.markups),
        ("image", counts.image_sizes),
    ):
        some = list(values.items())[:6]
        more = f", {len(values) - 6} more" if len(values) > 6 else ""
        line = ", ".join(f"{key or '-'} {number}" for key, number in some if number)
        console.print(f"  {title:8}{escape(line + more)}")
    if counts.box_px:
        small, middle, large = counts.box_px
        console.print(f"  {'box':8}{small:.0f} / {middle:.0f} / {large:.0f} px (smallest, median, largest longer side)")
    if report.findings:
        for finding in report.findings:
            style, fault = _STYLES[finding.severity], finding.fault
            console.print(f"[{style}]{finding.severity}[/] [bold]{finding.code}[/] ×{finding.count}: {fault.what}")
            for case in finding.cases[:names]:
                console.print(f"    {escape(str(case))}")
            if finding.count > names:
                console.print(f"    … {finding.count - names} more")
            console.print(f"    [dim]to do: {fault.do}[/]")
    errors, warnings = report.number("error"), report.number("warning")
    console.print(f"{errors} errors, {warnings} warnings" if errors or warnings else "no errors, no warnings")
