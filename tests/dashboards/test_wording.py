"""How figures read, what leaves in a file, and whether colours can be told apart."""

from __future__ import annotations

import tomllib
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from dashboards import theme
from dashboards.components import formats
from dashboards.components.exports import to_csv

CONFIG = tomllib.loads((Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
THEMES = {name: CONFIG["theme"][name] for name in ("light", "dark")}
TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (formats.format_units(1234.4), "1,234"),
        (formats.format_units(None), "-"),
        (formats.format_units(0), "0"),
        (formats.format_units(-0.2), "0"),
        (formats.format_money(Decimal("12340.49"), "EUR"), "EUR 12,340"),
        (formats.format_money(None, "EUR"), "-"),
        (formats.format_percent(0.91349), "91.3 %"),
        (formats.format_days(2.04), "2.0 days"),
        (formats.format_change(-3.14, "pp"), "-3.1 pp"),
        (formats.format_change(0.04, "pp"), "0.0 pp"),
        (formats.format_sample(17), "n = 17"),
        (formats.format_sample(30), ""),
        (formats.format_count(1, "item"), "1 item"),
        (formats.format_count(1204, "item"), "1,204 items"),
        (formats.format_date(date(2026, 11, 20), today=TODAY), "Fri 20 Nov"),
        (formats.format_date(date(2018, 8, 27), today=TODAY), "Mon 27 Aug 2018"),
        (formats.format_date(None, today=TODAY), "-"),
        (formats.format_age(timedelta(seconds=59)), "0 min"),
        (formats.format_age(timedelta(minutes=14)), "14 min"),
        (formats.format_age(timedelta(hours=40)), "40 h"),
        (formats.format_age(timedelta(days=3000)), "3,000 days"),
    ],
)
def test_figures_read_as_people_write_them(said: str, expected: str) -> None:
    assert said == expected


def test_text_from_data_cannot_become_markup() -> None:
    assert formats.escape_markdown("[x](javascript:1) <b> :red[y] $z$") == r"\[x\]\(javascript\:1\) \<b\> \:red\[y\] \$z\$"


def test_an_export_holds_no_formula_and_leaves_numbers_alone() -> None:
    frame = pl.DataFrame({"title": ["=1+1", "+a", "-b", "@c", "\td", "\re", "ok", None], "change": [-1.5] * 8})

    lines = to_csv(frame).decode("utf-8-sig").replace("\re", "<CR>e").splitlines()

    assert [line.partition(",")[0].strip('"') for line in lines] == ["title", "'=1+1", "'+a", "'-b", "'@c", "'\td", "'<CR>e", "ok", ""]
    assert {line.rpartition(",")[2] for line in lines[1:]} == {"-1.5"}


def test_a_heading_that_would_be_a_formula_is_guarded_too() -> None:
    assert to_csv(pl.DataFrame({"=cmd": [1]})).decode("utf-8-sig").splitlines()[0] == "'=cmd"


@pytest.mark.parametrize("name", list(THEMES))
def test_text_reaches_four_and_a_half_to_one(name: str) -> None:
    colors = THEMES[name]
    text = [colors["textColor"], colors["linkColor"], *(colors[f"{hue}TextColor"] for hue in ("red", "orange", "green", "blue", "gray"))]
    tinted = [contrast(colors[f"{hue}TextColor"], colors[f"{hue}BackgroundColor"]) for hue in ("red", "orange", "green", "blue", "gray")]

    faded = contrast(mixed(colors["textColor"], colors["backgroundColor"], share=0.6), colors["backgroundColor"])  # captions
    plain = [contrast(color, colors[ground]) for color in text for ground in ("backgroundColor", "secondaryBackgroundColor")]

    assert min([*plain, *tinted, faded]) >= 4.5


@pytest.mark.parametrize("name", list(THEMES))
def test_graphics_reach_three_to_one(name: str) -> None:
    colors = THEMES[name]
    graphics = [
        theme.ACCENT,
        theme.REFERENCE,
        theme.WARNING,
        theme.CAUTION,
        theme.INBOUND,
        colors["primaryColor"],
        *colors["chartCategoricalColors"],
    ]

    assert min(contrast(color, colors["backgroundColor"]) for color in graphics) >= 3.0


def test_pages_listen_to_this_machine_only_and_tell_nobody() -> None:
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["client"]["showErrorDetails"] == "none"
    assert CONFIG["server"]["maxUploadSize"] == 20


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2.2, 1 to 21."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def mixed(color: str, ground: str, *, share: float) -> str:
    """The colour laid over the ground with this opacity."""
    parts = [round(int(color[i : i + 2], 16) * share + int(ground[i : i + 2], 16) * (1 - share)) for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
