# SPDX-License-Identifier: Apache-2.0
"""Two ways to show a story: a screen that changes, and plain lines."""

import datetime
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tools.demo.story import OVER, Loads, Migration, Step, Story, deviation

WIDTH, HEIGHT = 110, 36
"""The size of the screen; a smaller terminal gets plain lines."""

_HOT, _WARM = 80.0, 60.0
_CHART_ROWS = 8
_EIGHTHS = " ▁▂▃▄▅▆▇█"


class Picture(Protocol):
    def show(self, story: Story) -> None:
        """Show the new steps."""


@contextmanager
def opened(out: TextIO = sys.stdout) -> Iterator[Picture]:
    """A screen if *out* is a terminal that can show one; else plain lines."""
    console = Console(file=out, highlight=False)
    roomy = console.width >= WIDTH and console.height >= HEIGHT
    if not (console.is_terminal and roomy) or console.is_dumb_terminal:
        yield Lines(out)
        return
    with Live(console=console, refresh_per_second=12) as live:
        yield Screen(live)


class Screen:
    """Draws the whole story anew each time."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, story: Story) -> None:
        self._live.update(draw(story, self._live.console.width))


_SPINNER = Spinner("dots", style="cyan")


def draw(story: Story, width: int) -> RenderableType:
    """The whole story, in so many columns."""
    return Group(_steps(story), _charts(story, width), _plan(story))


def _steps(story: Story) -> RenderableType:
    rows = Table.grid(padding=(0, 1))
    rows.add_column(width=1)
    rows.add_column(width=12, style="dim")
    rows.add_column(overflow="fold")
    for step in story.steps:
        mark = Text("✓", "green") if step.good else Text("✗", "bold red")
        rows.add_row(mark, _clock(step), Text(step.text))
    if story.waiting:
        rows.add_row(_SPINNER, "", Text(story.waiting, "cyan"))
    return Panel(
        rows,
        title="[bold]Watcher[/]: one alarm becomes an action plan",
        title_align="left",
        box=box.ROUNDED,
        border_style="blue",
    )


def _charts(story: Story, width: int) -> RenderableType:
    titles = ("when the alarm came" if story.alarm else "before the alarm", "now")
    grid = Table.grid(expand=True)
    for _ in titles:
        grid.add_column(ratio=1)
    panels = []
    for title, loads in zip(titles, (story.before, story.now), strict=True):
        spread = deviation(loads) if loads else math.nan
        good = spread < story.threshold
        verdict = f"[bold {'green' if good else 'red'}]{spread:.3f}[/]"
        panels.append(
            Panel(
                chart(loads, width // 2 - 9),
                title=f"CPU of {len(loads)} hosts {title}",
                title_align="left",
                subtitle=f"standard deviation {verdict}, threshold {story.threshold:g}",
                subtitle_align="right",
                box=box.ROUNDED,
                border_style="blue",
            )
        )
    grid.add_row(*panels)
    return grid


def chart(loads: Loads, width: int) -> Text:
    """One column for each host, as wide as *width* allows; the order of hosts stays the same."""
    column = max(1, width // max(1, len(loads)))
    text = Text(no_wrap=True)
    for row in range(_CHART_ROWS, 0, -1):
        top = 100 * row / _CHART_ROWS
        text.append(f"{top:3.0f} % " if row % 2 == 0 else "      ", "dim")
        for load in loads.values():
            filled = min(1.0, max(0.0, load * _CHART_ROWS / 100 - (row - 1)))
            text.append(_EIGHTHS[round(filled * 8)] * column, _style(load))
        text.append("\n")
    text.append("      " + "▔" * (column * len(loads)), "dim")
    return text


def _style(load: float) -> str:
    return "red" if load >= _HOT else "yellow" if load >= _WARM else "cyan"


def _plan(story: Story) -> RenderableType:
    size, over = len(story.migrations), sum(move.state in OVER for move in story.migrations)
    title = "Action plan: none yet"
    if size:
        title = f"Action plan [bold]{story.plan_state}[/]: {over} of {size} migrations done"
    rows = Table.grid(expand=True, padding=(0, 3))
    rows.add_column(ratio=1)
    rows.add_column(ratio=1)
    half = math.ceil(len(story.migrations) / 2)
    left, right = story.migrations[:half], story.migrations[half:]
    for number, migration in enumerate(left):
        other = _migration(right[number]) if number < len(right) else ""
        rows.add_row(_migration(migration), other)
    return Panel(rows, title=title, title_align="left", box=box.ROUNDED, border_style="blue")


def _migration(migration: Migration) -> RenderableType:
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(width=1)
    done, failed = migration.state == "SUCCEEDED", migration.state == "FAILED"
    mark = Text("✓", "green") if done else Text("✗", "red") if failed else Text("")
    way = f"{migration.server} {_short(migration.source)} → {_short(migration.destination)}"
    bar = ProgressBar(
        total=1.0,
        completed=migration.progress,
        complete_style="cyan",
        finished_style="red" if failed else "green",
    )
    row.add_row(Text(way), bar, mark)
    return row


def _short(hostname: str) -> str:
    return hostname.removeprefix("compute-")


def _clock(step: Step) -> str:
    at = datetime.datetime.fromtimestamp(step.at, datetime.timezone.utc).astimezone()
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"


class Lines:
    """Prints each step once, in words and ASCII."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._steps = 0
        self._states: dict[str, str] = {}
        self._drawn: set[str] = set()

    def show(self, story: Story) -> None:
        for step in story.steps[self._steps :]:
            self._print(f"{_clock(step)} {'' if step.good else 'FAILED: '}{step.text}")
        self._steps = len(story.steps)
        for migration in story.migrations:
            self._print_migration(migration)
        if story.plan_state:
            self._draw("when the alarm came", story.before, story)
        if story.plan_state in OVER and not story.waiting:
            self._draw("after the plan", story.now, story)

    def _print_migration(self, migration: Migration) -> None:
        state = migration.state
        if state != "PENDING" and self._states.get(migration.server) != state:
            self._states[migration.server] = state
            way = f"{migration.source} to {migration.destination}"
            self._print(f"  {migration.server} from {way}: {state}")

    def _draw(self, when: str, loads: Loads, story: Story) -> None:
        if when in self._drawn:
            return
        self._drawn.add(when)
        self._print(f"CPU of {len(loads)} hosts {when}:")
        for hostname, load in loads.items():
            self._print(f"  {hostname} {'#' * round(load / 2):<50} {load:5.1f} %")
        self._print(f"  standard deviation {deviation(loads):.3f}, threshold {story.threshold:g}")

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)
