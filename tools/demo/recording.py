# SPDX-License-Identifier: Apache-2.0
"""The demonstration as an animated SVG picture, for pages that cannot run it.

A line of the screen that stays the same is in the file once, however many frames it is in.  Viewers
without animation show the last frame.
"""

import io
import time
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME

from tools.demo.picture import HEIGHT, WIDTH, Picture, draw
from tools.demo.service import Failed
from tools.demo.story import Story

_BETWEEN = 0.6
"""Seconds between two frames, unless a step comes in between."""
_AT_THE_END = 5.0
"""Seconds for which the last frame stays, before the first one returns."""
_COLUMN, _ROW, _MARGIN = 8.4, 16.5, 10

_STYLE = """\
text { font: 14px Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: %s }
.dim { opacity: .6 } .bold { font-weight: bold }
.frame { visibility: hidden; animation: %.1fs step-end infinite }
.frame:last-child { visibility: visible }
@media (prefers-reduced-motion) { .frame { animation: none } }
"""

Frame = tuple[str, ...]
"""The lines, each as SVG."""


class Recording:
    """Passes a story on to another picture, and keeps the frames of a screen."""

    def __init__(self, shown: Picture) -> None:
        self._shown = shown
        self._frames: list[tuple[float, Frame]] = []
        self._steps = 0
        self._last: Frame = ()
        self._console = Console(
            file=io.StringIO(),
            width=WIDTH,
            height=HEIGHT,
            force_terminal=True,
            color_system="truecolor",
        )

    def show(self, story: Story) -> None:
        self._shown.show(story)
        now = time.monotonic()
        lines = self._console.render_lines(draw(story, WIDTH), pad=False)
        self._last = tuple("".join(_runs(line)) for line in lines)
        before, self._steps = self._steps, len(story.steps)
        # From the first step on: before it nothing is shown.
        if before != self._steps or (self._frames and now - self._frames[-1][0] >= _BETWEEN):
            self._frames.append((now, self._last))

    def save(self, path: str) -> None:
        """Write the file.  Failed if it cannot be written."""
        frames = [*self._frames, (time.monotonic(), self._last)]
        try:
            Path(path).write_text(_svg(frames), encoding="utf-8")
        except OSError as error:
            raise Failed(f"--record: {error}") from error


def _runs(line: Iterable[Segment]) -> Iterator[str]:
    """The pieces of a line that are of one style, at their columns."""
    column = 0
    for segment in Segment.simplify(line):
        text = segment.text
        width = segment.cell_length
        if text.strip():
            left = column + len(text) - len(text.lstrip())
            words = text.strip()
            # With its length given, a line is as wide with any font.
            yield (
                f'<text x="{left * _COLUMN:.1f}" textLength="{len(words) * _COLUMN:.1f}" '
                f'lengthAdjust="spacingAndGlyphs"{_look(segment.style)}>{escape(words)}</text>'
            )
        column += width


def _look(style: Style | None) -> str:
    if style is None:
        return ""
    classes = " ".join(name for name in ("dim", "bold") if getattr(style, name))
    look = f' class="{classes}"' if classes else ""
    if style.color is not None and not style.color.is_default:
        look += f' fill="{style.color.get_truecolor(SVG_EXPORT_THEME).hex}" '
    return look.rstrip().replace(' fill="', ' style="fill:')


def _svg(frames: list[tuple[float, Frame]]) -> str:
    start, end = frames[0][0], frames[-1][0] + _AT_THE_END
    numbers: dict[str, int] = {}
    for _, frame in frames:
        for line in frame:
            numbers.setdefault(line, len(numbers))
    rows = max(len(frame) for _, frame in frames)
    width, height = WIDTH * _COLUMN + 2 * _MARGIN, rows * _ROW + 2 * _MARGIN
    theme = SVG_EXPORT_THEME
    style = _STYLE % (theme.foreground_color.hex, end - start)
    defs, shown = [f'<g id="l{number}">{line}</g>' for line, number in numbers.items()], []
    ends = [at for at, _ in frames[1:]] + [end]
    for index, ((at, frame), until) in enumerate(zip(frames, ends, strict=True)):
        first, last = ((moment - start) / (end - start) * 100 for moment in (at, until))
        style += (
            f"@keyframes f{index} {{ 0% {{ visibility: {'hidden' if index else 'visible'} }} "
            f"{first:.2f}% {{ visibility: visible }} {last:.2f}% {{ visibility: hidden }} }}\n"
        )
        uses = "".join(
            f'<use href="#l{numbers[line]}" y="{(row + 0.75) * _ROW:g}"/>'
            for row, line in enumerate(frame)
            if line
        )
        shown.append(f'<g class="frame" style="animation-name: f{index}">{uses}</g>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">',
            "<title>Watcher: one alarm becomes an action plan</title>",
            f"<style>\n{style}</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{theme.background_color.hex}"/>',
            "<defs>",
            *defs,
            "</defs>",
            f'<g transform="translate({_MARGIN} {_MARGIN})">',
            *shown,
            "</g>",
            "</svg>\n",
        ]
    )
