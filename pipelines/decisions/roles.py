"""Who may decide what: operators with role, limit and scope, looked up in the operational store inside every write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import sqlalchemy as sa

from pipelines.decisions import audit
from pipelines.errors import DecisionError, NotPermittedError
from pipelines.stores.own_tables import operator

HIGHEST_LIMIT: Final = 10**9

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from pipelines.stores.operational import OperationalStore

Role = Literal["viewer", "planner", "approver", "admin"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "planner", "approver", "admin")  # each may do what those before it may


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who may do something.

    Attributes:
        actor: The name they are known by.
        role: viewer (reads), planner (decides), approver (is the second of two persons too), admin (sets operators too).
        approve_limit: The most a decision of theirs may order without a second person, in the reporting currency; None: the
            general limit holds for them too.
        locations: Where they may decide; None: everywhere.
        suppliers: Of whom; None: of all.
    """

    actor: str
    role: Role
    approve_limit: Decimal | None = None
    locations: tuple[str, ...] | None = None
    suppliers: tuple[str, ...] | None = None

    def is_at_least(self, role: Role) -> bool:
        """Whether this role includes that one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def may_see(self, row: Mapping[Any, Any]) -> bool:
        """Whether the recommendation lies in their scope: both ends of a transfer, and its supplier."""
        places = {row["location_id"], row["source_location_id"]} - {None}
        is_there = self.locations is None or places <= set(self.locations)
        return is_there and (self.suppliers is None or row["supplier_id"] in (None, *self.suppliers))


def require(conn: sa.Connection, actor: str, role: Role) -> Operator:
    """The operator, who has at least this role at this moment.

    Raises:
        NotPermittedError: They are unknown or have a lesser role. Nothing was changed.
    """
    row = conn.execute(sa.select(operator).where(operator.c.actor == actor)).mappings().first()
    if row is None:
        admins = find_operator(conn, None)[1]
        how = f"{' or '.join(admins)} (admin) can make them one" if admins else "nobody is yet, so begin with yourself"
        first_role = "planner" if admins else "admin"
        raise NotPermittedError(f"{actor!r} is no operator; {how}: ordercast operators set {actor} --role {first_role}.")
    found = _operator(row)
    if not found.is_at_least(role):
        whom = asking(find_operator(conn, None)[1], "change that")
        raise NotPermittedError(f"{actor!r} is {_article(found.role)} {found.role}, and this takes {_article(role)} {role}{whom}.")
    return found


def require_scope(found: Operator, row: Mapping[Any, Any]) -> None:
    """The recommendation lies in the operator's scope.

    Raises:
        NotPermittedError: It does not. Nothing was changed.
    """
    if not found.may_see(row):
        who = f"{row['supplier_id']} at {row['location_id']}" if row["supplier_id"] else str(row["location_id"])
        raise NotPermittedError(f"{found.actor!r} may not decide about {who}.")


def may_decide(conn: sa.Connection, actor: str, row: Mapping[Any, Any]) -> bool:
    """Whether they may decide about the recommendation at this moment."""
    try:
        require_scope(require(conn, actor, "planner"), row)
    except NotPermittedError:
        return False
    return True


def find_operator(conn: sa.Connection, actor: str | None) -> tuple[Operator | None, tuple[str, ...]]:
    """The operator of this name, None where there is none; and who the admins are, without whom there is no operator at all."""
    known = {row["actor"]: row for row in conn.execute(sa.select(operator).order_by(operator.c.actor)).mappings()}
    return (_operator(known[actor]) if actor in known else None), tuple(name for name, row in known.items() if row["role"] == "admin")


def asking(admins: tuple[str, ...], what: str) -> str:
    """As in "; ask ada or tom (admin) to run it"; empty where nobody can be asked."""
    return f"; ask {' or '.join(admins)} (admin) to {what}" if admins else ""


def known_operator(store: OperationalStore, actor: str) -> Operator:
    """The operator of this name, whatever their role: who is named may at least read.

    Raises:
        NotPermittedError: They are unknown.
    """
    with store.transaction(writes=False) as conn:
        return require(conn, actor, "viewer")


def list_operators(store: OperationalStore) -> list[Operator]:
    """All operators by name; empty in a store that knows none yet."""
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(operator.name):
            return []
        return [_operator(row) for row in conn.execute(sa.select(operator).order_by(operator.c.actor)).mappings()]


def set_operator(store: OperationalStore, wanted: Operator, *, by: str) -> Operator:
    """The operator is as given, from the next write on. The first of a store makes themselves admin.

    Raises:
        NotPermittedError: `by` is no admin. Nothing was changed.
        DecisionError: The role is unknown, the name empty, the limit negative, or no admin would be left. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    if wanted.role not in ROLES:
        raise DecisionError(f"There is no role {wanted.role!r}; roles are {', '.join(ROLES)}.")
    limit = wanted.approve_limit
    if not wanted.actor.strip() or (limit is not None and not (limit.is_finite() and 0 <= limit <= HIGHEST_LIMIT)):
        raise DecisionError(f"An operator needs a name, and a limit from 0 to {HIGHEST_LIMIT:,}.")
    with store.transaction() as conn:
        if store.dialect == "postgresql":  # two first admins at once would each find an empty table
            conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('ordercast.operators'))"))
        known = {row["actor"]: _operator(row) for row in conn.execute(sa.select(operator)).mappings()}
        if not known and (wanted.role != "admin" or wanted.actor != by):
            raise NotPermittedError(f"The first operator is an admin and names themselves: ordercast operators set {by} --role admin.")
        if known:
            require(conn, by, "admin")
        others = [one for one in known.values() if one.actor != wanted.actor and one.role == "admin"]
        if wanted.role != "admin" and not others:
            raise DecisionError("The last admin stays admin: nobody else could set operators.")
        _write(conn, wanted, known.get(wanted.actor), by)
    return wanted


def _write(conn: sa.Connection, wanted: Operator, before: Operator | None, by: str) -> None:
    values = {
        "role": wanted.role, "approve_limit": wanted.approve_limit, "locations": _listed(wanted.locations),
        "suppliers": _listed(wanted.suppliers), "changed_at": datetime.now(UTC), "changed_by": by,
    }  # fmt: skip
    if before is None:
        conn.execute(sa.insert(operator).values(actor=wanted.actor, **values))
    else:
        conn.execute(sa.update(operator).where(operator.c.actor == wanted.actor).values(**values))
    audit.append(conn, actor=by, before={} if before is None else _said(before), after=_said(wanted))


def _operator(row: Mapping[Any, Any]) -> Operator:
    locations, suppliers = (None if row[name] is None else tuple(json.loads(row[name])) for name in ("locations", "suppliers"))
    return Operator(row["actor"], cast("Role", row["role"]), row["approve_limit"], locations, suppliers)


def _said(one: Operator) -> dict[str, Any]:
    return {
        "operator": one.actor, "role": one.role, "approve_limit": one.approve_limit, "locations": one.locations, "suppliers": one.suppliers,
    }  # fmt: skip


def _listed(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else json.dumps(sorted(names))


def _article(role: str) -> str:
    return "an" if role[0] in "aeiou" else "a"
