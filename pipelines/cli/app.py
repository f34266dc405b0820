"""The `ordercast` command."""

from __future__ import annotations

import sys
from typing import Final

import typer
from rich.console import Console

from pipelines.cli import (
    accesses,
    alerts,
    at_risk,
    backups,
    baselines,
    configuration,
    decisions,
    doctor,
    drafts,
    experiments,
    exporter,
    forecasts,
    loading,
    logs,
    metrics,
    migrating,
    open_orders,
    operators,
    outbox,
    outcomes,
    overrides,
    quarantine,
    reading,
    rebuilding,
    reconciling,
    reference,
    refreshing,
    replaying,
    reports,
    rules,
    running,
    serving,
    targets,
    timeline,
    what_if,
)
from pipelines.errors import ContractError, OrdercastError, SettingsError

# Exit codes, also in `ordercast --help`.
MISUSED: Final = 2
REFUSED: Final = 3
UNAVAILABLE: Final = 4

app = typer.Typer(
    name="ordercast",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A merchant's orders, stock and returns become KPIs, demand forecasts and reorder decisions.\n\n"
    "All state lies under ORDERCAST_HOME (default ./.ordercast); the operational store at ORDERCAST_STORE_URL.\n\n"
    "Exit codes: 0 done; 2 wrong usage or setting; 3 refused, a retry cannot help; 4 something did not answer, a retry may help; "
    "5 doctor, reconcile or rebuild found a problem; 6 a decision is stale or waits for a second person; 130 interrupted.",
    epilog="Examples:  ordercast simulate && ordercast run  |  ordercast metrics --by location  |  ordercast recommendations --json",
)
loading.register(app)
running.register(app)
serving.register(app)
refreshing.register(app)
reconciling.register(app)
metrics.register(app)
targets.register(app)
baselines.register(app)
overrides.register(app)
rules.register(app)
reading.register(app)
quarantine.register(app)
decisions.register(app)
drafts.register(app)
outcomes.register(app)
operators.register(app)
outbox.register(app)
alerts.register(app)
accesses.register(app)
reports.register(app)
timeline.register(app)
forecasts.register(app)
replaying.register(app)
rebuilding.register(app)
what_if.register(app)
open_orders.register(app)
at_risk.register(app)
experiments.register(app)
backups.register(app)
doctor.register(app)
exporter.register(app)
logs.register(app)
migrating.register(app)
configuration.register(app)
reference.register(app)


def main() -> None:
    """Run the command line; errors of ours become one sentence and an exit code, never a traceback."""
    errors = Console(stderr=True, soft_wrap=True)
    try:
        app()
    except SettingsError as exc:
        errors.print(str(exc), style="red", markup=False, highlight=False)
        sys.exit(MISUSED)
    except OrdercastError as exc:
        errors.print(str(exc), style="red", markup=False, highlight=False)
        sys.exit(REFUSED if isinstance(exc, ContractError) else UNAVAILABLE)
    except OSError as exc:
        errors.print(
            f"{exc.strerror or exc}: {exc.filename or 'no file named'}. Check ORDERCAST_HOME and its rights.", style="red", markup=False
        )
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        errors.print("Interrupted; nothing half done stays: run the same command again.")
        sys.exit(running.INTERRUPTED)


if __name__ == "__main__":
    main()
