"""`ordercast operators` and `ordercast audit`: who may decide what, and whether the record of decisions is whole."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli import accesses
from pipelines.cli.display import emit_json
from pipelines.decisions import sign_ins
from pipelines.decisions.audit import AuditHead, verify
from pipelines.decisions.roles import ROLES, Operator, Role, list_operators, set_operator
from pipelines.decisions.standing import list_history
from pipelines.errors import ContractError, DecisionError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import list_releases, open_release

operators_app = typer.Typer(no_args_is_help=True, help="Operators: who may decide, up to which amount, where and about which suppliers.")
audit_app = typer.Typer(no_args_is_help=True, help="The audit log: every decision, chained so that no row can be changed unseen.")
_EVERYTHING = "all"


def register(app: typer.Typer) -> None:
    """The commands stand on `app`."""
    operators_app.command("list")(operators_list)
    operators_app.command("set")(operators_set)
    operators_app.command("link")(operators_link)
    operators_app.command("unlink")(operators_unlink)
    app.add_typer(operators_app, name="operators")
    audit_app.command("verify")(audit_verify)
    audit_app.command("log")(audit_log)
    app.add_typer(audit_app, name="audit")


def operators_list(as_json: Annotated[bool, typer.Option("--json", help="Print a list of operators as JSON.")] = False) -> None:
    """All operators with role, limit and scope.

    Example: [b]ordercast operators list --json[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        known, accounts = list_operators(store), sign_ins.list_sign_ins(store)
    if as_json:
        accesses.record("operators", len(known))
        emit_json([asdict(one) | {"sign_ins": [asdict(its) for its in accounts if its.actor == one.actor]} for one in known])
        return
    console = Console()
    if not known:
        console.print(f"Nobody may decide yet. Begin with yourself: ordercast operators set {getpass.getuser()} --role admin", markup=False)
        return
    table = Table("Operator", "Role", "Limit", "Locations", "Suppliers", "Signs in as", box=None, pad_edge=False)
    for one in known:
        limit = "-" if one.approve_limit is None else f"{one.approve_limit:,.2f}"
        scopes = (_EVERYTHING if names is None else escape(", ".join(names)) for names in (one.locations, one.suppliers))
        signs_in = escape(", ".join(its.email or its.subject for its in accounts if its.actor == one.actor)) or "-"
        table.add_row(escape(one.actor), one.role, limit, *scopes, signs_in)
    console.print(table)


def operators_set(
    name: Annotated[str, typer.Argument(help="Who; the name that decisions are made under.")],
    *,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}; each may do what those before it may. A viewer changes nothing.")],
    limit: Annotated[
        str | None, typer.Option(help="Most they may order by one decision alone, in the reporting currency; default is the general limit.")
    ] = None,
    location: Annotated[list[str] | None, typer.Option(help="Only here; may be repeated. Default is everywhere.")] = None,
    supplier: Annotated[list[str] | None, typer.Option(help="Only of this supplier; may be repeated. Default is all.")] = None,
    actor: Annotated[str | None, typer.Option(help="Who sets it, an admin; default is the user of this computer.")] = None,
) -> None:
    """Make somebody an operator, or change all that was set of them before; it holds from the next decision on.

    The first operator of a store is the admin who names themselves. To take rights away, set the role to viewer.

    Examples: [b]ordercast operators set $(id -un) --role admin[/b] |
    [b]ordercast operators set pam --role planner --limit 2500 --location LOC-CENTRAL[/b]
    """
    wanted = Operator(
        name, cast("Role", role), _amount(limit), tuple(location) if location else None, tuple(supplier) if supplier else None
    )  # fmt: skip
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        set_operator(store, wanted, by=actor or getpass.getuser())
    Console().print(f"{name} is {role} from now on.", highlight=False, markup=False)


def operators_link(
    name: Annotated[str, typer.Argument(help="The operator.")],
    *,
    issuer: Annotated[str, typer.Option(help="The provider, as the page after signing in shows it.")],
    subject: Annotated[str, typer.Option(help="The provider's name of the account, as that page shows it.")],
    email: Annotated[str | None, typer.Option(help="Address to recognise the account by; it decides nothing.")] = None,
    actor: Annotated[str | None, typer.Option(help="Who links it, an admin; default is the user of this computer.")] = None,
) -> None:
    """Say which operator somebody is who signs in to the pages; it holds at once.

    Example: [b]ordercast operators link pam --issuer https://id.example.com --subject 248289761001 --email pam@example.com[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        sign_ins.link(store, sign_ins.SignIn(issuer, subject, name, email), by=actor or getpass.getuser())
    Console().print(f"Whoever signs in as {email or subject} is {name} from now on.", highlight=False, markup=False)


def operators_unlink(
    name: Annotated[str, typer.Argument(help="The operator.")],
    actor: Annotated[str | None, typer.Option(help="Who unlinks them, an admin; default is the user of this computer.")] = None,
) -> None:
    """Nobody who signs in is this operator any more: their open pages close within half a minute, and nothing of theirs is done.

    Example: [b]ordercast operators unlink pam[/b]
    """
    with OperationalStore.open(load_settings().resolved_store_url) as store:
        store.migrate()
        count = sign_ins.unlink(store, name, by=actor or getpass.getuser())
    Console().print(f"Nobody signs in as {name} from now on; {count} did.", highlight=False, markup=False)


def audit_log(
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of steps as JSON.")] = False,
) -> None:
    """Who did what about suggestions, newest first, whether a person, a run or the shop.

    Example: [b]ordercast audit log --limit 50[/b]
    """
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        steps = list_history(store, limit=limit).to_dicts()
    if as_json:
        accesses.record("audit log", len(steps), filters={"limit": limit})
        emit_json(steps)
        return
    console = Console()
    for one in steps:
        qty = "" if one["qty"] is None else f" {one['qty']:,} units"
        why = " ".join(str(part) for part in (one["reason_code"], one["comment"]) if part)
        console.print(
            f"{one['at']:%Y-%m-%d %H:%M}  {one['actor']}: {one['action']} {one['sku']} at {one['location_id']}{qty} "
            f"({one['from_state']} -> {one['to_state']}){'; ' if why else ''}{why}",
            markup=False, highlight=False,
        )  # fmt: skip
    if not steps:
        console.print("Nobody has decided anything yet.")


def audit_verify(as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False) -> None:
    """Check every row of the audit log, and its end against the ends that releases have kept.

    Finds rows that were edited, removed, added or moved, and a log that was rewritten as a whole since a release. Exit code 3 if any.

    Example: [b]ordercast audit verify[/b]
    """
    settings = load_settings()
    heads = []
    for release in list_releases(settings.releases_path):
        with open_release(release) as conn:
            if conn.execute("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'meta' AND table_name = 'audit_head'").fetchall()[0][
                0
            ]:
                heads += [AuditHead(seq, text) for seq, text in conn.execute("SELECT seq, hash FROM meta.audit_head").fetchall()]
    with OperationalStore.open_to_read(settings.resolved_store_url) as store:
        report = verify(store, known_heads=heads)
    if as_json:
        emit_json(asdict(report) | {"releases_count": len(heads)})
    else:
        for problem in report.problems:
            Console().print(problem, style="red", highlight=False, markup=False)
    if report.problems:
        raise ContractError(
            f"The audit log of {report.rows_count:,} rows is not whole: {len(report.problems):,} problems, the first at row "
            f"{report.first_bad_seq}."
        )
    if not as_json:
        Console().print(
            f"The audit log is whole: {report.rows_count:,} rows, checked against {len(heads)} releases. Its last hash is "
            f"{report.head.hash or '-'}.",
            highlight=False, markup=False,
        )  # fmt: skip


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise DecisionError(f"{text!r} is no amount; write it like 2500.") from None
