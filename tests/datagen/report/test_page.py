"""A browser that opens a page tells a broken one from a whole one."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
import pytest

from datagen.report.page import Page
from datagen.report.style import styled
from tests.report_pages import assert_self_contained, assert_shown_by_a_browser, read


def page() -> Page:
    figure = go.Figure()
    figure.add_scatter(x=[1, 2], y=[2, 1])
    figure.update_xaxes(title_text="</script> x")
    figure.update_yaxes(title_text="y")
    found = Page("A <page>", "About & so on.")
    found.figure(styled(figure, height=300), "Down it goes.")
    return found


def test_text_and_figures_are_kept_apart_from_markup(tmp_path: Path) -> None:
    page().write(tmp_path / "page.html")
    report = read(tmp_path / "page.html")
    assert_self_contained(report)
    assert "A <page>" in report.words
    assert report.figures["figure-1"]["layout"]["xaxis"]["title"]["text"] == "</script> x"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Plotly.newPlot(", "nowhere("),
        ('style="height:300px"', 'style="display:none"'),
        ("</body>", '<img src="https://example.org/a.png"></body>'),
    ],
    ids=["script", "hidden", "fetching"],
)
def test_a_broken_page_is_noticed(old: str, new: str, tmp_path: Path) -> None:
    text = page().html()
    assert old in text
    path = tmp_path / "page.html"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(AssertionError):
        assert_shown_by_a_browser(path, tmp_path)
