"""What tests ask of the HTML pages that commands write, as text and in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

ADDRESS = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", re.IGNORECASE)


@dataclass
class Report(HTMLParser):
    """What a test asks of a page: figures by id, holders, words, what is outside of plotly.js."""

    figures: dict[str, Any] = field(default_factory=dict)
    holders: set[str] = field(default_factory=set)
    words: str = ""
    rest: str = ""
    policy: str = ""
    scripts: int = 0
    _inside: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not {"src", "href"} & set(given), f"<{tag}> refers to something outside"
        if tag == "script":
            self.scripts += 1
            self._inside = given.get("data-figure") or given.get("id") or "script"
        elif tag == "meta" and "http-equiv" in given:
            self.policy = given["content"] or ""
        elif tag == "div" and "id" in given:
            self.holders.add(given["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.words += data
        elif self._inside.startswith("figure-"):
            self.figures[self._inside] = json.loads(data)
        if self._inside != "plotly":
            self.rest += data


def read(path: Path) -> Report:
    report = Report()
    report.feed(path.read_text(encoding="utf-8"))
    report.close()
    return report


def assert_self_contained(report: Report) -> None:
    assert report.policy.startswith("default-src 'none'")
    assert ADDRESS.search(report.rest) is None
    assert report.scripts == len(report.figures) + 2  # plotly.js, once, and the one that draws
    assert report.holders == set(report.figures)
    for figure in report.figures.values():
        assert figure["data"]
        axes = [figure["layout"][key] for key in figure["layout"] if re.match(r"[xy]axis", key)]
        assert all("title" in axis or axis.get("visible") is False for axis in axes)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")

PATIENCE = 120.0
"""Seconds that a browser may take: one that starts on a busy machine takes many."""

WATCH = """<script>
addEventListener("error", event => complain(event.message), true);
addEventListener("unhandledrejection", event => complain(String(event.reason)));
addEventListener("securitypolicyviolation", event => complain("asked for " + event.blockedURI));
function complain(text) {
  document.documentElement.dataset.complaints =
    (document.documentElement.dataset.complaints || "") + text + "; ";
}
addEventListener("load", () => setTimeout(() => {
  const shown = [...document.querySelectorAll("figure > div")].filter(holder => {
    const drawing = holder.querySelector(".main-svg");
    const box = drawing && drawing.getBoundingClientRect();
    return box && box.width > 200 && box.height > 200 && holder.querySelector(".trace");
  });
  document.documentElement.dataset.shown = shown.map(holder => holder.id).join(" ");
}, 500));
</script>"""
"""Notes on the page itself, where they can be read, what went wrong and which figures are seen."""


def assert_shown_by_a_browser(path: Path, tmp_path: Path) -> None:
    """Open a page in a browser: no script fails, every figure is drawn, nothing is asked for.

    Args:
        path: The page.
        tmp_path: A folder for the browser.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"there is no browser to open the report in: none of {', '.join(BROWSERS)}")
    text = path.read_text(encoding="utf-8")
    watched = tmp_path / "watched.html"
    watched.write_text(text.replace("<head>", "<head>" + WATCH, 1), encoding="utf-8")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    words += [f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1200,900"]
    words += ["--virtual-time-budget=10000", "--dump-dom", watched.as_uri()]
    run = subprocess.run(
        [browser, *words], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    head = run.stdout[: run.stdout.index("<head>")]
    assert "data-complaints" not in head, head
    shown = re.search(r'data-shown="([^"]*)"', head)
    assert shown is not None, "the page never finished"
    assert set(shown[1].split()) == set(read(path).figures)
