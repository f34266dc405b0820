"""`forecast` and `backtest` of a panel file and of a small release."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import ReleaseFacts, publish
from tests.integration.test_cli import Terminal

if TYPE_CHECKING:
    from pathlib import Path

FIRST = date(2024, 1, 1)


@pytest.fixture
def ordercast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal(monkeypatch, capsys)


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    """Two items over ten weeks; ids that look like numbers, one quantity missing."""
    days = [FIRST + timedelta(days=day) for day in range(70)]
    frame = pl.concat(
        pl.DataFrame({"sku": sku, "demand_date": days, "demand_qty": [rate + day % 7 for day in range(70)]})
        for sku, rate in (("007", 3.0), ("008", 9.0))
    )
    path = tmp_path / "days.csv"
    frame.with_columns(pl.when((pl.col("sku") != "007") | (pl.col("demand_date") != days[9])).then("demand_qty")).write_csv(path)
    return path


def release(tmp_path: Path) -> None:
    home = load_settings().resolved_home
    home.mkdir()
    facts = ReleaseFacts("20240329T060000-aaaaaa", "2024-03-28", "2024-03-29T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    rates = {"bias_rate": -0.02, "mase": 0.8, "rmsse": 0.9, "weighted_quantile_loss": 0.3, "band_coverage_rate": 0.81}
    models = [{"model": "auto", "wape_rate": 0.42, "fva_rate": 0.23}, {"model": "seasonal_naive", "wape_rate": 0.55, "fva_rate": 0.0}]
    classes = [("all", "all"), ("volume", "A"), ("pattern", "smooth")]
    tested = {
        "actual_qty": 90.0,
        "windows_count": 6,
        "horizon_days": 14,
        "backtest_date": date(2024, 3, 25),
        "naive_wape_rate": 0.55,
        **rates,
    }
    frames = {
        "backtest_classes": pl.DataFrame(
            one | rates | {"class_kind": kind, "class_name": name, "series_count": 2, "actual_qty": 90.0, "cumulative_bias_rate": 0.2}
            for kind, name in classes
            for one in models
        ),
        "backtest_steps": pl.DataFrame(one | rates | {"step": step, "actual_qty": 9.0} for step in range(1, 15) for one in models),
        "backtest_scores": pl.DataFrame(
            [
                tested | {"sku": None, "location_id": None, "model": "auto", "fallback_reason": None, "wape_rate": 0.42},
                tested | {"sku": "A1", "location_id": "main", "model": "pooled_ensemble", "fallback_reason": None, "wape_rate": 0.4},
                tested | {"sku": "B2", "location_id": "main", "model": "history_mean", "fallback_reason": "only 9 days in stock", "wape_rate": 0.9},
            ]
        ),
        "horizon_scores": pl.DataFrame({"level": [0.9], "coverage_rate": [0.88], "weighted_quantile_loss": [0.3]}),
    }  # fmt: skip
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts; create schema meta; create schema planning")
        for name, frame in frames.items():
            conn.register("frame", frame.to_arrow())
            conn.execute(f"create table planning.{name} as from frame")
        conn.execute(
            "create table planning.forecast_daily as select sku, 'main' as location_id, date '2024-03-29' + n::integer as demand_date, "
            "2.5::double as demand_mean_qty, 1.0::double as demand_p10_qty, 4.0::double as demand_p90_qty, 'pooled_ensemble' as model, "
            "null::varchar as fallback_reason from (values ('A1'), ('B2')) s(sku), range(14) r(n)"
        )
        conn.execute(
            "create table planning.demand_series as select * from (values ('A1', 'main', null), ('C3', 'main', 'Sold on 2 days only.')) "
            "t(sku, location_id, reason)"
        )
        conn.execute("insert into planning.demand_series values ('D4', 'main', null)")
        conn.execute(
            "insert into planning.forecast_daily values ('D4', 'main', date '2024-03-29', null, null, null, 'none', 'no day in stock')"
        )
        conn.execute("create table marts.fct_forecast_overrides (override_id varchar, n bigint, fva_rate double)")
        publish(conn, load_settings().releases_path, facts=facts, catalogue="{}", keep=3)


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_a_panel_file_is_tested_within_80_columns_and_says_what_was_mended(ordercast: Terminal, panel: Path) -> None:
    code, out, err = ordercast("backtest", "--panel", str(panel), "--horizon", "7", "--windows", "2")

    assert code == 0, err
    assert widest(out) <= 80
    assert "seasonal_naive" in out
    assert "007 at main: 1 quantities are missing or not finite: unknown" in " ".join(out.split())


def test_a_backtest_as_json_has_scores_per_class_and_the_fallbacks(ordercast: Terminal, panel: Path) -> None:
    told = ordercast.json("backtest", "--panel", str(panel), "--horizon", "7", "--windows", "2", "--models", "seasonal_naive")

    assert told["cutoffs"] == ["2024-02-25", "2024-03-03"]
    assert {row["class_kind"] for row in told["scores"]} == {"all", "volume", "pattern"}
    assert {row["fva_rate"] for row in told["scores"]} <= {0.0, None}
    assert {row["sku"] for row in told["series_scores"] if row["fallback_reason"]} == {"007"}
    assert len(told["step_scores"]) == 7


def test_a_panel_file_is_forecast_and_every_row_written(ordercast: Terminal, panel: Path, tmp_path: Path) -> None:
    code, _, err = ordercast("forecast", "--panel", str(panel), "--horizon", "3", "--csv", str(tmp_path / "out.csv"))

    written = pl.read_csv(tmp_path / "out.csv", schema_overrides={"sku": pl.String})
    assert code == 0, err
    assert written["sku"].to_list() == ["007"] * 3 + ["008"] * 3
    assert written["demand_p90_qty"].null_count() == 0


def test_a_name_that_would_be_a_formula_is_text_in_the_file(ordercast: Terminal, tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=day) for day in range(30)]
    pl.DataFrame({"sku": "=1+1", "demand_date": days, "demand_qty": 2.0}).write_parquet(tmp_path / "panel.parquet")

    ordercast("forecast", "--panel", str(tmp_path / "panel.parquet"), "--horizon", "2", "--csv", str(tmp_path / "out.csv"))

    assert [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()] == ["sku", "'=1+1", "'=1+1"]


def test_one_item_is_shown_period_by_period(ordercast: Terminal, panel: Path) -> None:
    code, out, _ = ordercast("forecast", "--panel", str(panel), "--horizon", "3", "--sku", "008")

    assert code == 0
    assert "2024-03-12" in out
    assert "007" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("forecast", "--panel", "nowhere.csv"), 3, "There is no file nowhere.csv"),
        (("backtest", "--panel", "days.csv", "--windows", "9"), 3, "pass fewer or shorter windows"),
        (("backtest", "--panel", "days.csv", "--models", "magic", "--horizon", "7"), 3, "magic"),
        (("forecast", "--panel", "days.csv", "--frequency", "hourly"), 2, "daily, weekly, monthly"),
        (("forecast", "--panel", "days.csv", "--sku", "nobody"), 3, "no forecast of 'nobody'"),
        (("forecast", "--horizon", "3"), 2, "need --panel"),
        (("forecast",), 3, "ordercast run"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(ordercast: Terminal, panel: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended, _, err = ordercast(*arguments)

    assert ended == code
    assert words in " ".join(err.replace("│", " ").split())


def test_a_panel_without_quantities_is_refused_by_its_columns(ordercast: Terminal, tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("sku,demand_date\n1,2024-01-01\n")

    code, _, err = ordercast("forecast", "--panel", str(tmp_path / "bare.csv"))

    assert code == 3
    assert "lacks demand_qty; it has sku, demand_date" in " ".join(err.split())


@pytest.mark.parametrize("written", ["01.02.2024", "20240201", "2024-02-30"])
def test_a_date_that_could_be_two_or_none_is_refused(ordercast: Terminal, tmp_path: Path, written: str) -> None:
    (tmp_path / "odd.csv").write_text(f"sku,demand_date,demand_qty\n1,2024-01-01,3\n1,{written},3\n")

    code, _, err = ordercast("forecast", "--panel", str(tmp_path / "odd.csv"))

    assert code == 3
    assert f"1 are no dates, such as '{written}'; write YYYY-MM-DD" in " ".join(err.split())


@pytest.mark.parametrize(("out", "sold"), [("1", "0"), ("true", "False"), ("TRUE", "")])
def test_days_out_of_stock_in_a_csv_may_be_written_as_flags_or_numbers(ordercast: Terminal, tmp_path: Path, out: str, sold: str) -> None:
    rows = [f"1,{FIRST + timedelta(days=day)},{0 if day % 2 else 6},{out if day % 2 else sold}" for day in range(60)]
    (tmp_path / "flags.csv").write_text("\n".join(["sku,demand_date,demand_qty,is_censored", *rows]))

    (told,) = ordercast.json("forecast", "--panel", str(tmp_path / "flags.csv"), "--horizon", "1")

    assert told["demand_mean_qty"] == pytest.approx(6.0, rel=0.05)


def test_a_flag_that_is_none_is_refused(ordercast: Terminal, tmp_path: Path) -> None:
    (tmp_path / "flags.csv").write_text("sku,demand_date,demand_qty,is_censored\n1,2024-01-01,3,maybe\n")

    code, _, err = ordercast("forecast", "--panel", str(tmp_path / "flags.csv"))

    assert code == 3
    assert "1 are no flags, such as 'maybe'; write true or false" in " ".join(err.split())


def test_the_served_release_shows_its_forecasts_and_their_evidence(ordercast: Terminal, tmp_path: Path) -> None:
    release(tmp_path)

    code, tested, err = ordercast("backtest")
    forecast_code, told, _ = ordercast("forecast")

    assert (code, forecast_code) == (0, 0), err
    assert "Tested with the data of 2024-03-25: 6 cut-offs, 14 days ahead, 2 series" in tested
    assert "42.0 %" in tested
    assert "55.0 %" in tested
    assert "auto by class" in tested
    assert "auto by days ahead" in tested
    assert "only 9 days in stock" in tested
    assert "35.00" in told
    assert widest(tested + told) <= 80


def test_a_release_gives_its_evidence_as_json_by_class_day_and_series(ordercast: Terminal, tmp_path: Path) -> None:
    release(tmp_path)

    told = ordercast.json("backtest")

    assert (told["backtest_date"], told["windows"], told["horizon"]) == ("2024-03-25", 6, 14)
    assert {row["class_kind"] for row in told["scores"]} == {"all", "volume", "pattern"}
    assert {row["step"] for row in told["step_scores"]} == set(range(1, 15))
    assert [row["sku"] for row in told["series_scores"]] == ["B2", "A1"]
    assert told["series_scores"][0]["rmsse"] == 0.9


def test_an_override_is_set_listed_and_withdrawn_by_its_id(ordercast: Terminal, tmp_path: Path) -> None:
    release(tmp_path)
    OperationalStore.open(load_settings().resolved_store_url, must_exist=False).close()

    code, said, err = ordercast("override", "set", "A1", "main", "x1.5", "--to", "2024-04-12", "--reason", "TV campaign", "--author", "ann")
    (line,) = ordercast.json("override", "list")
    _, listed, _ = ordercast("override", "list")
    _, withdrawn, _ = ordercast("override", "withdraw", line["override_id"], "--author", "bob")
    _, after, _ = ordercast("override", "list")

    assert code == 0, err
    assert "1.5 times the forecast of A1 at main from 2024-03-29 to 2024-04-12" in " ".join(said.split())
    assert listed.split()[0] == line["override_id"]
    assert "ann: TV campaign. No day of it is judged yet." in " ".join(listed.split())
    assert "is withdrawn" in withdrawn
    assert "Withdrawn by bob." in after


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("A9", "main", "12", "--to", "2024-04-12", "--reason", "x"), "Nothing was ever sold of 'A9' at 'main'"),
        (("C3", "main", "12", "--to", "2024-04-12", "--reason", "x"), "no forecast that could be overridden: Sold on 2 days only."),
        (("D4", "main", "12", "--to", "2024-04-12", "--reason", "x"), "no forecast that could be overridden: no day in stock."),
        (("A1", "main", "lots", "--to", "2024-04-12", "--reason", "x"), "'lots' is no demand"),
        (("A1", "main", "12", "--to", "2024-03-01", "--reason", "x"), "have passed"),
        (("A1", "main", "12", "--to", "2024-04-12", "--reason", " "), "needs its reason"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused_with_what_to_do(
    ordercast: Terminal, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    release(tmp_path)
    OperationalStore.open(load_settings().resolved_store_url, must_exist=False).close()

    code, _, err = ordercast("override", "set", *arguments)

    assert code == 3
    assert words in " ".join(err.split())
