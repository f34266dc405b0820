"""`ordercast forecast` and `ordercast backtest`: of a panel file, or as the served release has them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape

import forecasting
from forecasting.backtest import most_windows
from pipelines.cli import accesses
from pipelines.cli.display import emit_json, progress_bar
from pipelines.cli.forecast_tables import show_backtest, show_evidence, show_forecast
from pipelines.errors import ContractError, SourceFileError
from pipelines.settings import load_settings
from pipelines.stores.forecast_evidence import read_evidence, read_forecast
from pipelines.stores.releases import open_served
from pipelines.stores.spreadsheets import guarded_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.schema import Frequency

FREQUENCIES: Final = ("daily", "weekly", "monthly")
HORIZONS: Final = {"daily": 28, "weekly": 8, "monthly": 3}
WINDOWS: Final = 4
_DAYS_OF_WEEK: Final = 7
_LEAST_DAYS_OF_MONTH: Final = 28
_KEYS: Final = ("sku", "location_id")
_TEXTS: Final = dict.fromkeys((*_KEYS, "demand_date"), pl.String)
_FLAGS: Final = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}

PanelFile = Annotated[
    Path | None,
    typer.Option(
        "--panel",
        help="CSV or Parquet: sku, demand_date, demand_qty, perhaps location_id and is_censored; a row per period, sold or not.",
    ),
]
FrequencyName = Annotated[str | None, typer.Option("--frequency", help="daily, weekly or monthly; default is what the dates say.")]
Horizon = Annotated[int | None, typer.Option("--horizon", min=1, help="Periods ahead; default 28 days, 8 weeks or 3 months.")]
AttributesFile = Annotated[
    Path | None, typer.Option("--attributes", help="CSV or Parquet: sku, perhaps location_id, and category columns.")
]
CalendarFile = Annotated[
    Path | None, typer.Option("--calendar", help="CSV or Parquet: demand_date, and events, flags or amounts known ahead.")
]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Write every row to this file as CSV.")]


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    app.command("forecast")(forecast)
    app.command("backtest")(backtest)


def forecast(  # noqa: PLR0917 - options by name
    panel: PanelFile = None,
    frequency: FrequencyName = None,
    horizon: Horizon = None,
    model: Annotated[str | None, typer.Option(help="Model, such as ses or lightgbm; default auto. A wrong name lists all.")] = None,
    attributes: AttributesFile = None,
    calendar: CalendarFile = None,
    sku: Annotated[str | None, typer.Option(help="This item only, period by period.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row as JSON.")] = False,
    csv: CsvFile = None,
) -> None:
    """Demand to come with its range, of the served release or of a panel file.

    Quantiles are of single periods and must not be added up.

    Examples: [b]ordercast forecast --sku SKU-0001[/b] | [b]ordercast forecast --panel weeks.csv --frequency weekly --horizon 8[/b]
    """
    _one_of(as_json, csv)
    if panel is None:
        _refuse_without_panel(frequency=frequency, horizon=horizon, model=model, attributes=attributes, calendar=calendar)
        with open_served(load_settings().releases_path) as (release, conn):
            rows = read_forecast(conn, sku=sku)
        title = f"Release {release.release_id}, as of {release.as_of_date}"
    else:
        read = _read_panel(panel)
        every = _frequency(frequency, read)
        with _contract(panel), progress_bar(Console(stderr=True), "Forecasting") as report:
            report(f"{read.n_unique(['sku', 'location_id']):,} series")
            rows = forecasting.forecast(
                read,
                horizon=horizon or HORIZONS[every],
                frequency=every,
                model=model or "auto",
                attributes=_known_ahead(attributes, "sku"),
                calendar=_known_ahead(calendar, "demand_date"),
            ).frame
        rows = rows if sku is None else rows.filter(pl.col("sku") == sku)
        title = f"{panel.name}, {every}, from {rows.select(pl.col('demand_date').min().cast(pl.String)).item()}"
    if sku is not None and rows.is_empty():
        raise ContractError(f"There is no forecast of {sku!r}: `ordercast forecast` without --sku lists what is forecast.")
    if panel is None and (csv is not None or as_json):
        accesses.record("forecasts", rows.height, filters={"sku": sku})
    if csv is not None:
        _write(rows, csv)
    elif as_json:
        emit_json(rows.to_dicts())
    else:
        show_forecast(Console(), rows, title=title, by_period=sku is not None)


def backtest(  # noqa: PLR0917 - options by name
    panel: PanelFile = None,
    frequency: FrequencyName = None,
    horizon: Horizon = None,
    windows: Annotated[int | None, typer.Option(min=1, help="Past cut-offs; default 4, or as many as the history has room for.")] = None,
    models: Annotated[
        str | None, typer.Option(help="Models with commas between; default auto,seasonal_naive. A wrong name lists all.")
    ] = None,
    attributes: AttributesFile = None,
    calendar: CalendarFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all scores as JSON: over all, by class, step and series.")] = False,
    csv: CsvFile = None,
) -> None:
    """How good forecasts would have been on past periods, of the served release or of a panel file.

    FVA is the share of seasonal naive's error that a model saves.

    Examples: [b]ordercast backtest[/b] | [b]ordercast backtest --panel weeks.csv --frequency weekly --windows 6[/b]
    """
    _one_of(as_json, csv)
    if panel is None:
        _refuse_without_panel(
            frequency=frequency, horizon=horizon, windows=windows, models=models, attributes=attributes, calendar=calendar
        )
        _standing_evidence(as_json=as_json, csv=csv)
        return
    read = _read_panel(panel)
    every = _frequency(frequency, read)
    ahead = horizon or HORIZONS[every]
    with _contract(panel), progress_bar(Console(stderr=True), "Testing forecasts") as report:
        result = forecasting.backtest(
            read,
            horizon=ahead,
            frequency=every,
            windows=windows or max(1, most_windows(_periods_count(read, every), horizon=ahead, at_most=WINDOWS, frequency=every)),
            models=None if models is None else [name.strip() for name in models.split(",")],
            on_progress=report,
            attributes=_known_ahead(attributes, "sku"),
            calendar=_known_ahead(calendar, "demand_date"),
        )
    if csv is not None:
        _write(result.frame, csv)
    elif as_json:
        emit_json(
            {"frequency": every, "horizon": ahead, "cutoffs": result.frame["cutoff_date"].unique().sort().to_list()}
            | {name: getattr(result, name).to_dicts() for name in ("scores", "step_scores", "horizon_scores", "series_scores")}
        )
    else:
        show_backtest(Console(), result, title=f"{panel.name}, {every}, {ahead} ahead", frequency=every)


def _standing_evidence(*, as_json: bool, csv: Path | None) -> None:
    """The backtest that the served release carries."""
    with open_served(load_settings().releases_path) as (release, conn):
        evidence = read_evidence(conn)
    if csv is not None or as_json:
        accesses.record("backtest", evidence.series.height)
    if csv is not None:
        _write(evidence.series, csv)
    elif as_json:
        emit_json(
            {"backtest_date": evidence.backtest_date, "windows": evidence.windows_count, "horizon": evidence.horizon_days}
            | {"scores": evidence.classes.to_dicts(), "step_scores": evidence.steps.to_dicts()}
            | {"horizon_scores": evidence.levels.to_dicts(), "series_scores": evidence.series.to_dicts()}
        )
    else:
        show_evidence(Console(), evidence, title=f"Release {release.release_id}, as of {release.as_of_date}")


def _one_of(as_json: bool, csv: Path | None) -> None:
    if as_json and csv is not None:
        raise typer.BadParameter("Give either --json or --csv.")


def _refuse_without_panel(**options: object) -> None:
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"{', '.join(given)} need --panel: without it the served release is shown as it was made.")


def _frequency(name: str | None, panel: pl.DataFrame) -> Frequency:
    """The one that was asked for; without one, by the usual gap between two dates of an item."""
    if name is not None and name not in FREQUENCIES:
        raise typer.BadParameter(f"--frequency is {', '.join(FREQUENCIES)}; got {name!r}.")
    if name is not None:
        return cast("Frequency", name)
    gap = panel.sort("demand_date").select(pl.col("demand_date").diff().over(_KEYS).dt.total_days().drop_nulls().median()).item()
    return "daily" if gap is None or gap < _DAYS_OF_WEEK else "weekly" if gap < _LEAST_DAYS_OF_MONTH else "monthly"


def _known_ahead(path: Path | None, key: str) -> pl.DataFrame | None:
    return None if path is None else _read(path, needs=(key,))


def _read_panel(path: Path) -> pl.DataFrame:
    """The file's panel; without location_id all is at "main", without is_censored nothing is."""
    read = _read(path, needs=("sku", "demand_date", "demand_qty"))
    missing = {"location_id": pl.lit("main"), "is_censored": pl.lit(False)}
    if "is_censored" in read.columns:
        read = read.with_columns(_flags(path, read["is_censored"]))
    return read.with_columns(value.alias(name) for name, value in missing.items() if name not in read.columns)


def _read(path: Path, *, needs: tuple[str, ...]) -> pl.DataFrame:
    if not path.is_file():
        raise SourceFileError(f"There is no file {path}: name a CSV or Parquet file.")
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    try:
        read = pl.read_parquet(path) if is_parquet else pl.read_csv(path, schema_overrides=_TEXTS, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise SourceFileError(f"{path} cannot be read as {'Parquet' if is_parquet else 'CSV'}: {exc}") from exc
    missing = [name for name in needs if name not in read.columns]
    if missing:
        raise SourceFileError(f"{path} lacks {', '.join(missing)}; it has {', '.join(read.columns)}. Rename the columns.")
    if "demand_date" in needs:
        read = read.with_columns(_dates(path, read["demand_date"]))
    return read.with_columns(pl.col(name).cast(pl.String) for name in _KEYS if name in read.columns)


def _flags(path: Path, written: pl.Series) -> pl.Series:
    """The column as true and false, which files also write as 1 and 0; an empty cell stays null."""
    words = written.cast(pl.String).str.strip_chars().str.to_lowercase()
    flags = words.replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean)
    wrong = written.filter(flags.is_null() & words.is_not_null() & (words != ""))
    if len(wrong):
        raise SourceFileError(
            f"is_censored in {path}: {len(wrong):,} are no flags, such as {str(wrong.first())[:80]!r}; write true or false."
        )
    return flags


def _dates(path: Path, written: pl.Series) -> pl.Series:
    """The column as dates; text is taken as YYYY-MM-DD alone, since 01.02. is two days."""
    if written.dtype == pl.String:
        dates = written.str.to_date("%Y-%m-%d", strict=False)
        wrong = written.filter(dates.is_null() & written.is_not_null())
    elif written.dtype == pl.Date or isinstance(written.dtype, pl.Datetime):
        dates, wrong = written.cast(pl.Date), written.clear()
    else:
        dates, wrong = written, written
    if len(wrong):
        raise SourceFileError(f"demand_date in {path}: {len(wrong):,} are no dates, such as {str(wrong.first())[:80]!r}; write YYYY-MM-DD.")
    return dates


def _periods_count(panel: pl.DataFrame, frequency: Frequency) -> int:
    first, last = panel["demand_date"].min(), panel["demand_date"].max()
    if first is None:
        return 0
    days = (cast("Any", last) - cast("Any", first)).days
    return int({"daily": days, "weekly": days // 7, "monthly": round(days / 30.44)}[frequency]) + 1


@contextmanager
def _contract(path: Path) -> Iterator[None]:
    """What the forecasting package refuses is said of the file."""
    try:
        yield
    except ValueError as exc:
        raise ContractError(f"{path}: {exc}") from exc


def _write(rows: pl.DataFrame, path: Path) -> None:
    """The rows stand in the file; text that a spreadsheet would take for a formula has a `'` in front."""
    guarded_frame(rows).write_csv(path)
    Console(stderr=True).print(f"{rows.height:,} rows are in {escape(str(path))}.", highlight=False)
