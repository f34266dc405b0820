"""What values settings may have: each check returns the value it takes, and says in a `ValueError` why it takes none."""

from __future__ import annotations

import base64
import difflib
import re
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import available_timezones

if TYPE_CHECKING:
    from pydantic import SecretStr


def known_zone(zone: str) -> str:
    """An IANA time zone."""
    if zone not in available_timezones():
        near = difflib.get_close_matches(zone, available_timezones(), n=1)
        raise ValueError(f"{zone!r} is no IANA time zone" + (f"; did you mean {near[0]!r}" if near else ", such as 'Europe/Berlin'"))
    return zone


def is_this_machine(host: str) -> bool:
    """Whether the name or address stands for the machine itself, so that nothing travels a network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(host: str) -> str:
    """A name or address of a machine."""
    with suppress(ValueError):
        return str(ip_address(host))
    if len(host) > 253 or not re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", host):
        raise ValueError("it is no name of a host, such as mail.example.com")
    return host


def mail_address(text: str) -> str:
    """A plain mail address."""
    local, _, domain = text.rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9._%+-]{1,64}", local):
        raise ValueError("it is no plain address, such as orders@example.com")
    return f"{local}@{host_name(domain)}"


def webhook_url(secret: SecretStr) -> SecretStr:
    """Where messages are posted to."""
    url = secret.get_secret_value()
    parts = urlsplit(url)  # its own ValueError says what is wrong with brackets
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.port == 0:
        raise ValueError("it is no address of a web server, such as https://erp.example.com/drafts")
    host_name(parts.hostname)
    if parts.scheme == "http" and not is_this_machine(parts.hostname):
        raise ValueError("it has to begin with https, since the receiver is another machine")
    if parts.username is not None or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("it may hold no user, no fragment, and only ASCII without spaces")
    return secret


def webhook_secret(secret: SecretStr) -> SecretStr:
    """What messages are signed with."""
    text = secret.get_secret_value()
    try:
        size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not text.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError("it is whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)")
    return secret


def web_address(url: str) -> str:
    """The address of a web server, without an ending slash."""
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.port == 0:
        raise ValueError("it is no address of a web server, such as https://ordercast.example.com")
    host_name(parts.hostname)
    if parts.scheme == "http" and not is_this_machine(parts.hostname):
        raise ValueError("it has to begin with https, since it is another machine")
    if parts.username is not None or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("it may hold no user, no query, no fragment, and only ASCII without spaces")
    return url.rstrip("/")


def origin(url: str) -> str:
    """The address of a web server without a path."""
    if urlsplit(address := web_address(url)).path:
        raise ValueError("it may hold no path: pages are served at the root of their host")
    return address


def postgresql_url(secret: SecretStr) -> SecretStr:
    """The address of a PostgreSQL database."""
    parts = urlsplit(secret.get_secret_value())
    if parts.scheme.partition("+")[0] != "postgresql" or not parts.path.strip("/"):
        raise ValueError("it is no address of a PostgreSQL database, such as postgresql://user@localhost:5432/dagster")
    return secret


def random_secret(secret: SecretStr) -> SecretStr:
    """A secret that nobody can guess."""
    text = secret.get_secret_value()
    if len(text) < 32 or len(set(text)) < 12:
        raise ValueError("it is at least 32 random characters: openssl rand -base64 32")
    return secret
