"""Who of those that sign in is which operator: by issuer and subject, which the provider never gives to anybody else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipelines.decisions import audit, roles
from pipelines.errors import DecisionError
from pipelines.stores.own_tables import operator, operator_sign_in

if TYPE_CHECKING:
    from pipelines.decisions.roles import Operator
    from pipelines.stores.operational import OperationalStore


@dataclass(frozen=True, slots=True)
class SignIn:
    """An account of an operator.

    Attributes:
        issuer: The provider, as its tokens name it.
        subject: The provider's name of the account; it stays when name and address change.
        actor: The operator who signs in with it.
        email: For people to recognise it by; never compared with anything, since addresses change hands.
    """

    issuer: str
    subject: str
    actor: str
    email: str | None = None


def link(store: OperationalStore, wanted: SignIn, *, by: str) -> None:
    """Whoever signs in with this account is the operator, from the next look on.

    Raises:
        NotPermittedError: `by` is no admin. Nothing was changed.
        DecisionError: There is no such operator, a name is empty, or the account is another operator's. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    if not wanted.issuer.strip() or not wanted.subject.strip():
        raise DecisionError("An account is named by its issuer and its subject; the page after signing in shows both.")
    columns = operator_sign_in.c
    is_it = (columns.issuer == wanted.issuer, columns.subject == wanted.subject)
    with store.transaction() as conn:
        roles.require(conn, by, "admin")
        if conn.execute(sa.select(operator.c.actor).where(operator.c.actor == wanted.actor)).first() is None:
            raise DecisionError(f"{wanted.actor!r} is no operator yet: ordercast operators set {wanted.actor} --role viewer.")
        owner = conn.execute(sa.select(columns.actor).where(*is_it)).scalar()
        if owner not in {None, wanted.actor}:
            raise DecisionError(f"This account is {owner!r} already; first ordercast operators unlink {owner}.")
        conn.execute(sa.delete(operator_sign_in).where(*is_it))
        values = asdict(wanted) | {"linked_at": datetime.now(UTC), "linked_by": by}
        conn.execute(sa.insert(operator_sign_in).values(**values))
        audit.append(conn, actor=by, before={}, after=_said(wanted))


def unlink(store: OperationalStore, actor: str, *, by: str) -> int:
    """No account is this operator any more, from the next look on; returns how many were.

    Raises:
        NotPermittedError: `by` is no admin. Nothing was changed.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    with store.transaction() as conn:
        roles.require(conn, by, "admin")
        found = _sign_ins(conn, operator_sign_in.c.actor == actor)
        for one in found:
            audit.append(conn, actor=by, before=_said(one), after={"unlinked": actor})
        conn.execute(sa.delete(operator_sign_in).where(operator_sign_in.c.actor == actor))
    return len(found)


def find_by_sign_in(store: OperationalStore, issuer: str, subject: str) -> Operator | None:
    """The operator that this account is at this moment, with the role of this moment; None where it is nobody.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    columns = operator_sign_in.c
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(operator_sign_in.name):
            return None
        actor = conn.execute(sa.select(columns.actor).where(columns.issuer == issuer, columns.subject == subject)).scalar()
        return None if actor is None else roles.find_operator(conn, actor)[0]


def list_sign_ins(store: OperationalStore) -> list[SignIn]:
    """All accounts, by operator."""
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(operator_sign_in.name):
            return []
        return _sign_ins(conn)


def _sign_ins(conn: sa.Connection, *where: sa.ColumnElement[bool]) -> list[SignIn]:
    columns = operator_sign_in.c
    chosen = sa.select(columns.issuer, columns.subject, columns.actor, columns.email).where(*where)
    rows = conn.execute(chosen.order_by(columns.actor, columns.issuer, columns.subject))
    return [SignIn(row.issuer, row.subject, row.actor, row.email) for row in rows]


def _said(one: SignIn) -> dict[str, Any]:
    return {"sign_in_of": one.actor, "issuer": one.issuer, "subject": one.subject}
