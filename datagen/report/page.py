"""A page: text, tables and plotly figures in one HTML file that fetches nothing."""

from __future__ import annotations

import html
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from datagen.report.target import writing

__all__ = ["Page", "percent", "seconds"]

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; " + (
    "img-src data: blob:; font-src data:"
)
"""A browser refuses everything that a page under this policy asks of a network."""

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2430; background: #fff;
  max-width: 1120px; margin: 2rem auto 4rem; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid #d9dde5; }
p, figcaption { max-width: 76ch; }
figure { margin: 1rem 0; }
figcaption { color: #5a6272; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid #e6e9ef;
  font-size: .92rem; }
th { color: #5a6272; font-weight: 600; vertical-align: bottom; }
td { white-space: nowrap; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
"""

_DRAW = """
for (const holder of document.querySelectorAll("script[type='application/json'][data-figure]")) {
  const figure = JSON.parse(holder.textContent);
  Plotly.newPlot(holder.dataset.figure, figure.data, figure.layout,
                 {responsive: true, displaylogo: false, showSendToCloud: false});
}
"""


def percent(value: float | None, digits: int = 2) -> str:
    """Return a share in percent.

    Args:
        value: The share; None or NaN where undefined.
        digits: Decimal places.

    Returns:
        For example ``2.41 %``.

    Example:
        >>> percent(0.02413), percent(None)
        ('2.41 %', '-')
    """
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def seconds(value: float | None) -> str:
    """Return a time in a unit that suits it.

    Args:
        value: Time [s]; None or NaN where undefined.

    Returns:
        For example ``412 ms``.

    Example:
        >>> seconds(0.4123), seconds(2.5)
        ('412 ms', '2.50 s')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"


class Page:
    """A report under construction.

    Args:
        title: Title of the page.
        lead: What it is about, in a sentence or two.
    """

    def __init__(self, title: str, lead: str) -> None:
        self._title = title
        self._figures = 0
        self._body = [f"<h1>{html.escape(title)}</h1>"]
        self.text(lead)

    def heading(self, text: str) -> None:
        """Begin a section.

        Args:
            text: Its title.
        """
        self._body.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph.

        Args:
            text: Plain text.
        """
        self._body.append(f"<p>{html.escape(text)}</p>")

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False
    ) -> None:
        """Add a table.

        Args:
            header: Titles of the columns.
            rows: Cells.
            words: Whether the cells are words, aligned to the left, rather than numbers.
        """
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        lines = [
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        ]
        kind = ' class="words"' if words else ""
        self._body.append(
            f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div>"
        )

    def figure(self, figure: Any, caption: str) -> None:
        """Add a plot.

        Args:
            figure: A plotly figure with a height and titled axes.
            caption: How to read it.
        """
        self._figures += 1
        name = f"figure-{self._figures}"
        content = figure.to_json().replace("</", "<\\/")  # nothing in it may end the script
        self._body.append(
            f'<figure><div id="{name}" style="height:{figure.layout.height}px"></div>'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            f'<script type="application/json" data-figure="{name}">{content}</script>'
        )

    def html(self) -> str:
        """Return the whole document."""
        return "\n".join([
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(self._title)}</title><style>{_STYLE}</style>",
            f'<script id="plotly">{get_plotlyjs()}</script></head><body>',
            *self._body,
            f"<script>{_DRAW}</script></body></html>",
        ])

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all.

        Args:
            path: The file; folders above it are made.

        Raises:
            InvalidInputError: If it cannot be written.
        """
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(self.html())
                Path(temporary).chmod(0o644)  # mkstemp keeps its files from other users
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
