"""Who looks at the pages, and as which operator: by sign-in where it is configured, else by what this machine says.

The only module that knows. `look` asks anew and is called at every run of the app and every `WATCH_SECONDS` in an open page; others
take what it found from `current`. What they do is confirmed once more against the store by `confirm`, right before it is done.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import streamlit as st

from pipelines.decisions.roles import Operator, list_operators
from pipelines.decisions.sign_ins import find_by_sign_in
from pipelines.errors import ContractError, NotPermittedError, UnavailableError
from pipelines.setting_values import is_this_machine
from pipelines.settings import Settings, load_settings
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

WATCH_SECONDS: Final = 10  # an open page notices within this time that somebody's rights have changed; the promise is 60
SIGNED_IN_FOR: Final = timedelta(hours=12)  # the cookie alone would last 30 days
_FOUND: Final = "ordercast-identity"

Closed = Literal["beyond this machine", "without sign-in", "not signed in", "expired", "unknown", "store", "setting"]


@dataclass(frozen=True, slots=True)
class Account:
    """An account at the provider, as its verified token describes it; name and e-mail are for people only."""

    issuer: str
    subject: str
    name: str
    email: str | None
    signed_in_at: datetime

    @property
    def is_expired(self) -> bool:
        """Whether they have to sign in again."""
        return datetime.now(UTC) - self.signed_in_at > SIGNED_IN_FOR


@dataclass(frozen=True, slots=True)
class Identity:
    """Who looks.

    Attributes:
        actor: The name that what they do is recorded under.
        operator: Their role and scope as of the last look; None where they are no operator, which with sign-in closes the pages.
        account: The account they signed in with; None for the local user.
        is_named: Whether the local user was named by the setting, and so may decide.
        closed: Why no page is shown to them; None where pages are.
        problem: What exactly is wrong with the store or a setting.
    """

    actor: str
    operator: Operator | None = None
    account: Account | None = None
    is_named: bool = True
    closed: Closed | None = None
    problem: str = ""

    @property
    def decides_as(self) -> str | None:
        """The operator's name to decide under; None where nobody is named."""
        return self.actor if self.is_named and self.closed is None else None


def look() -> Identity:
    """Who looks at this moment; nothing of an earlier look is taken over."""
    try:
        settings = load_settings()
        found = _signed_in(settings) if settings.has_sign_in else _local(settings)
    except ContractError as exc:
        found = Identity("", closed="setting", problem=str(exc))
    st.session_state[_FOUND] = found
    return found


def current() -> Identity:
    """Who was found to look when this run, or the last watch in this page, began."""
    found = st.session_state.get(_FOUND)
    return found if isinstance(found, Identity) else look()


def confirm(who: Identity, *, actor: str | None = None) -> None:
    """They are at this moment who they were when the page was drawn. Call it before anything is written or handed out.

    Args:
        who: As they were found; taken when the page is drawn, since a download is made outside of it.
        actor: The name that what they ask for would be recorded under.

    Raises:
        NotPermittedError: They are not any more, or it names somebody else.
        StoreUnavailableError: The store did not answer.
    """
    if who.closed is not None or (actor is not None and actor != who.actor):
        raise NotPermittedError("This was asked for in somebody else's name. Reload the page.")
    if who.account is None:
        return
    if who.account.is_expired:
        raise NotPermittedError("You signed in too long ago. Reload the page and sign in again.")
    with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
        now = find_by_sign_in(store, who.account.issuer, who.account.subject)
    if now is None or now.actor != who.actor:
        raise NotPermittedError(f"You are not {who.actor!r} any more: an admin has changed who signs in as them.")


def secrets(settings: Settings) -> dict[str, Any]:
    """The section that Streamlit signs people in by; it stays in memory. Empty without sign-in."""
    if not settings.has_sign_in:
        return {}
    return {
        "auth": {
            "redirect_uri": f"{settings.oidc_base_url}/oauth2callback", "cookie_secret": _plain(settings.oidc_cookie_secret),
            "client_id": settings.oidc_client_id, "client_secret": _plain(settings.oidc_client_secret),
            "server_metadata_url": settings.oidc_metadata_url,
        }
    }  # fmt: skip


def account_of(claims: Mapping[str, Any], *, client_id: str) -> Account | None:
    """The account that claims of a verified token name; None where they are not about us or say too little.

    A cookie that another program of the shop signed with the same secret is about that program.
    """
    audience = claims.get("aud")
    issuer, subject, issued = claims.get("iss"), claims.get("sub"), claims.get("iat")
    is_ours = client_id in audience if isinstance(audience, list) else client_id == audience
    if not is_ours or not isinstance(issuer, str) or not isinstance(subject, str) or not issuer or not subject:
        return None
    if not isinstance(issued, int | float) or isinstance(issued, bool):
        return None
    email = claims.get("email") if isinstance(claims.get("email"), str) else None
    name = next((str(claims[one]) for one in ("name", "preferred_username", "email") if claims.get(one)), subject)
    return Account(issuer, subject, name, email, datetime.fromtimestamp(issued, UTC))


def _local(settings: Settings) -> Identity:
    """Whoever sits at this machine: nobody else reaches the pages."""
    name = settings.operator or getpass.getuser()
    is_elsewhere = isinstance(st.context.ip_address, str)  # None from this machine; a proxy that passes others on says whom
    if is_elsewhere or not is_this_machine(st.get_option("server.address") or ""):
        return Identity(name, is_named=False, closed="beyond this machine")
    try:
        with OperationalStore.open_to_read(settings.resolved_store_url) as store:
            operator = next((one for one in list_operators(store) if one.actor == settings.operator), None)
    except UnavailableError as exc:
        return Identity(name, is_named=settings.operator is not None, problem=str(exc))  # pages go on, read-only
    return Identity(name, operator, is_named=settings.operator is not None)


def _signed_in(settings: Settings) -> Identity:
    """Whoever the provider vouches for. Where that or the store cannot say it, nobody."""
    if not _is_served_with(settings):
        return Identity("", closed="without sign-in")
    claims = st.user.to_dict()
    if not claims.get("is_logged_in"):
        return Identity("", closed="not signed in")
    account = account_of(claims, client_id=settings.oidc_client_id or "")
    if account is None or account.is_expired:
        return Identity("", account=account, closed="expired")
    try:
        with OperationalStore.open_to_read(settings.resolved_store_url) as store:
            operator = find_by_sign_in(store, account.issuer, account.subject)
    except UnavailableError as exc:
        return Identity("", account=account, closed="store", problem=str(exc))
    if operator is None:
        return Identity("", account=account, closed="unknown")
    return Identity(operator.actor, operator, account)


def _plain(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _is_served_with(settings: Settings) -> bool:
    """Whether the server was started with our sign-in, and not by hand without it or with another's."""
    try:
        return bool(st.secrets["auth"].to_dict() == secrets(settings)["auth"])
    except (KeyError, FileNotFoundError):
        return False
