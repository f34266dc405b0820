from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checks.site import Site, assemble, problems_outside, render

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '<a href="other.html#part">other</a>'


def problems(folder: Path, index: str, other: str = '<h2 id="part"></h2>') -> list[str]:
    (folder / "index.html").write_text(HEAD + index, encoding="utf-8")
    (folder / "other.html").write_text(other, encoding="utf-8")
    return list(Site.read(folder).problems())


def test_a_site_whose_links_all_lead_somewhere_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, '<a href="https://example.com/x">elsewhere</a> <a href="#top" id="top">up</a>') == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="gone.html">x</a>', "index.html links to gone.html, which is not there"),
        ('<a href="other.html#gone">x</a>', "index.html links to other.html#gone, which has no such heading"),
        ('<img src="images/gone.png">', "index.html loads images/gone.png, which is not there"),
        ('<script src="https://cdn.example.com/x.js"></script>', "index.html loads https://cdn.example.com/x.js from another host"),
        ('<link rel="stylesheet" href="//fonts.example.com/x.css">', "index.html loads //fonts.example.com/x.css from another host"),
    ],
)
def test_what_leads_nowhere_or_comes_from_another_host_is_named(tmp_path: Path, html: str, problem: str) -> None:
    assert problems(tmp_path, html) == [problem]


def test_a_page_that_nothing_leads_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "lost.html").write_text(HEAD, encoding="utf-8")

    assert problems(tmp_path, "") == ["lost.html is linked from nowhere; name it in zensical.toml"]


def test_a_link_of_the_readme_into_the_site_is_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").touch()
    (tmp_path / "README.md").write_text("[a](docs/other.md#part) [b](docs/other.md#gone) [c](docs/gone.md)", encoding="utf-8")
    (tmp_path / "CONTRIBUTING.md").touch()
    problems(tmp_path, "")

    found = list(problems_outside(Site.read(tmp_path), tmp_path))

    assert found == [
        "README.md links to docs/other.md#gone, which has no such heading",
        "README.md links to docs/gone.md, which is not there",
    ]


def test_the_real_build_stops_at_a_broken_link_and_says_where(tmp_path: Path) -> None:
    assemble(tmp_path)
    (tmp_path / "docs/quickstart.md").write_text("# Quickstart\n\n[gone](nowhere.md) and [there](concepts.md#nowhere)\n", encoding="utf-8")

    assert render(tmp_path) == ["quickstart.md:3:8: page does not exist", "quickstart.md:3:44: anchor does not exist"]
