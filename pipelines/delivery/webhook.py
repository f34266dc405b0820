"""A webhook signed as the Standard Webhooks specification says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import re
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pipelines.delivery.deadline import deadline
from pipelines.delivery.message import Outcome

if TYPE_CHECKING:
    from pipelines.delivery.message import Message

_MOST_RETRY_AFTER: Final = timedelta(days=1)
_TRY_AGAIN: Final = (408, 425, 429)  # of 4xx: not in time, too early, too many
_BUSY: Final = (429, 503)
_FROM_A_GATEWAY: Final = (502, 504)  # the receiver behind it may have had the message


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of signed POST requests.

    Attributes:
        url: https, or http on this machine; no redirect is followed and no proxy asked.
        key: The shared secret as bytes.
        timeout_seconds: Longest wait for a connection, and then for the whole exchange.
        honours_key: Whether the receiver does nothing at the second message with the same `webhook-id`.
    """

    url: str = field(repr=False)
    key: bytes = field(repr=False)
    timeout_seconds: float
    honours_key: bool

    @property
    def address(self) -> str:
        """Scheme and host: paths of webhooks are often secret."""
        parts = urlsplit(self.url)
        return f"webhook {parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    def send(self, message: Message) -> Outcome:
        """One POST; whatever fails before the first byte of the body is not delivered, whatever fails after it is unknown."""
        body = message.body
        conn = self._connection()
        try:
            try:
                conn.connect()
                with deadline(lambda: conn.sock, self.timeout_seconds):
                    self._begin(conn, message, body)
            except (OSError, http.client.HTTPException) as exc:
                return Outcome("not_delivered", f"{self.address} could not be reached: {_said(exc)}.", goes_on=False)
            try:
                with deadline(lambda: conn.sock, self.timeout_seconds):
                    conn.sock.sendall(body)
                    response = conn.getresponse()
            except (OSError, http.client.HTTPException) as exc:
                return Outcome("unknown", f"{self.address} had the message and did not answer: {_said(exc)}.", goes_on=False)
            return _judged(response.status, response.getheader("Retry-After"), self.address)
        finally:
            conn.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = str(parts.hostname)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=self.timeout_seconds, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=self.timeout_seconds)

    def _begin(self, conn: http.client.HTTPConnection, message: Message, body: bytes) -> None:
        parts = urlsplit(self.url)
        at = int(datetime.now(UTC).timestamp())
        headers = {
            "Content-Type": "application/json", "Content-Length": str(len(body)), "User-Agent": "ordercast", "Connection": "close",
            "Idempotency-Key": message.idem_key, "webhook-id": message.idem_key, "webhook-timestamp": str(at),
            "webhook-signature": signature(self.key, message.idem_key, at, body),
        }  # fmt: skip
        conn.putrequest("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), skip_accept_encoding=True)
        for name, value in headers.items():
            conn.putheader(name, value)
        conn.endheaders()


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: HMAC-SHA256 over id, timestamp (seconds since 1970) and body.

    Source: Standard Webhooks 1.0.0, "Signature scheme".
    """
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _judged(status: int, retry_after: str | None, address: str) -> Outcome:
    said = f"{address} answered {status}"
    if 200 <= status < 300:
        return Outcome("delivered", said)
    if status in _FROM_A_GATEWAY:
        return Outcome("unknown", f"{said}: a gateway does not know what became of it.", goes_on=False)
    if 400 <= status < 500 and status not in _TRY_AGAIN:
        return Outcome("refused", f"{said}.")
    is_number = retry_after is not None and re.fullmatch(r"[0-9]{1,9}", retry_after)
    wait = min(timedelta(seconds=int(retry_after or 0)), _MOST_RETRY_AFTER) if is_number else None
    moved = " and redirects are not followed; correct ORDERCAST_WEBHOOK_URL" if 300 <= status < 400 else ""
    return Outcome("not_delivered", f"{said}{moved}.", goes_on=status not in _BUSY, retry_after=wait)


def _said(exc: Exception) -> str:
    """Why, without what an exception may quote of the other side."""
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({exc.verify_message})"
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
