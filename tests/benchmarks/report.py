"""What a bench says: chapters of ratios, tables and plots, as JSON for machines and as one HTML page for people."""

from __future__ import annotations

import html
import io
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2430; }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccd } h3 { margin-bottom: .3rem }
table { border-collapse: collapse; margin: .5rem 0 1rem } td, th { padding: .2rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr:nth-child(even) td { background: #f3f5f9 }
.met { color: #17693a } .missed { color: #b3261e; font-weight: 600 } .note { color: #556 } svg { max-width: 100% }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1rem } dt { color: #556 } dd { margin: 0 }
"""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A promise in figures. `limit` None: it is only told; `at_least`: it is a floor rather than a ceiling."""

    what: str
    value: float
    limit: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` are shown as they are: numbers with three figures, text as it stands."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """`series` maps a name to its points (x, y)."""

    title: str
    x: str
    y: str
    series: dict[str, list[tuple[float, float]]]
    log: bool = False


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    intro: str
    ratios: tuple[Ratio, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = field(default=())


def write(folder: Path, machine: dict[str, str], chapters: list[Chapter]) -> None:
    """Write bench.json and bench.html."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"machine": machine, "chapters": [_plain(chapter) for chapter in chapters]}
    (folder / "bench.json").write_text(json.dumps(whole, indent=1, default=str) + "\n")
    (folder / "bench.html").write_text(_page(machine, chapters))


def as_text(chapter: Chapter) -> str:
    """Return the chapter for a terminal."""
    lines = [chapter.title, "=" * len(chapter.title)]
    lines += [
        f"  {_verdict(ratio):7} {number(ratio.value):>8} {_limit(ratio):9} {ratio.what}" for ratio in chapter.ratios
    ]
    for table in chapter.tables:
        cells = [table.columns, *[tuple(number(cell) for cell in row) for row in table.rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
        lines += ["", table.title]
        lines += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        lines += [f"  {table.note}"] if table.note else []
    return "\n".join(lines)


def number(value: object) -> str:
    """Return a float with three figures, anything else as text."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _plain(chapter: Chapter) -> dict[str, Any]:
    plain = asdict(chapter)
    for ratio, made in zip(chapter.ratios, plain["ratios"], strict=True):
        made["met"] = ratio.met
    return plain


def _verdict(ratio: Ratio) -> str:
    return {None: "", True: "met", False: "MISSED"}[ratio.met]


def _limit(ratio: Ratio) -> str:
    if ratio.limit is None:
        return ""
    return f"{'≥' if ratio.at_least else '≤'} {number(ratio.limit)}"


def _page(machine: dict[str, str], chapters: list[Chapter]) -> str:
    facts = "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in machine.items())
    body = "".join(_section(chapter) for chapter in chapters)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Porchlight bench</title>'
        f"<style>{_STYLE}</style><h1>Porchlight bench</h1><dl>{facts}</dl>{body}</html>\n"
    )


def _section(chapter: Chapter) -> str:
    parts = [f"<h2>{html.escape(chapter.title)}</h2><p>{html.escape(chapter.intro)}</p>"]
    if chapter.ratios:
        rows = "".join(
            f"<tr><td>{html.escape(ratio.what)}</td><td>{number(ratio.value)}</td><td>{_limit(ratio)}</td>"
            f'<td class="{"missed" if ratio.met is False else "met"}">{_verdict(ratio)}</td></tr>'
            for ratio in chapter.ratios
        )
        parts.append(f"<table><tr><th>ratio</th><th>measured</th><th>aim</th><th></th></tr>{rows}</table>")
    for table in chapter.tables:
        head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(number(cell))}</td>" for cell in row) + "</tr>" for row in table.rows
        )
        note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
        parts.append(f"<h3>{html.escape(table.title)}</h3><table><tr>{head}</tr>{rows}</table>{note}")
    parts += [f"<h3>{html.escape(plot.title)}</h3>{_drawn(plot)}" for plot in chapter.plots]
    return "".join(parts)


def _drawn(plot: Plot) -> str:
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}):
        figure = Figure(figsize=(7.5, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for name, points in plot.series.items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=name)
        if plot.log:
            axes.set_yscale("log")
        axes.set(xlabel=plot.x, ylabel=plot.y)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue().partition("?>")[2].partition("<!DOCTYPE")[2].partition(">")[2]
