"""One e-mail per message, by the standard library's smtplib and email."""

from __future__ import annotations

import re
import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import UTC
from email import policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.delivery.deadline import deadline
from pipelines.delivery.message import Outcome

if TYPE_CHECKING:
    from pipelines.delivery.message import Message

_DOT: Final = re.compile(rb"(?m)^\.")
_LABELS: Final = {
    "draft_id": "Draft", "supplier_id": "Supplier", "source_location_id": "From", "location_id": "To", "sku": "Item", "qty": "Units",
    "unit_cost": "Unit price", "currency_code": "Currency", "need_by": "Needed by", "expected_receipt": "Expected", "cancels": "Cancels",
    "po_id": "Order", "po_line_id": "Order line", "from_date": "Expected until now", "to_date": "Wanted", "lines": "Order lines",
}  # fmt: skip
_DRAFT: Final = ("draft order line", "Please draft this line; it is no order yet.")
_ASKS: Final = {
    "purchase": _DRAFT, "transfer": _DRAFT,
    "expedite": ("order change", "Please ask the supplier for these units of the order earlier."),
    "defer": ("order change", "Please ask the supplier for these units of the order later."),
    "cancel_po": ("order change", "Please cancel these units of the order with the supplier."),
    "allocate": ("reservation", "Please reserve these units for the order lines below."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Somebody who gets a mail per message.

    Attributes:
        host: Mail server.
        port: Its port.
        tls: `starttls`, `implicit` (TLS from the first byte on) or `none`; certificates are checked.
        user: Name to log in with; None: without.
        password: Its password.
        sender: Address the mail comes from.
        recipient: Address it goes to.
        timeout_seconds: Longest wait for a connection, and then for the whole exchange.
    """

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    sender: str
    recipient: str
    timeout_seconds: float
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    honours_key: bool = field(default=False, init=False)  # a person reads it, twice if it comes twice

    @property
    def address(self) -> str:
        """Recipient and server."""
        return f"e-mail {self.recipient} by {self.host}:{self.port}"

    def send(self, message: Message) -> Outcome:
        """One mail; whatever fails before its content is sent is not delivered, whatever fails then is unknown."""
        content = _DOT.sub(b"..", self._mail(message).as_bytes(policy=policy.SMTP))
        try:
            smtp = self._connected()
        except (OSError, smtplib.SMTPException) as exc:
            return Outcome("not_delivered", f"{self.address} could not be reached: {_said(exc)}.", goes_on=False)
        try:
            with deadline(lambda: smtp.sock, self.timeout_seconds):
                early = self._begin(smtp)
                return early or self._finish(smtp, content)
        except (OSError, smtplib.SMTPException, UnicodeError) as exc:  # a login that is not ASCII cannot be said
            return Outcome("not_delivered", f"{self.address}: {_said(exc)}.", goes_on=False)
        finally:
            smtp.close()

    def _connected(self) -> smtplib.SMTP:
        if self.tls == "implicit":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_seconds, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=self.timeout_seconds)

    def _begin(self, smtp: smtplib.SMTP) -> Outcome | None:
        """The server waits for the content; otherwise what it said instead."""
        if self.tls == "starttls":
            smtp.starttls(context=ssl.create_default_context())
        smtp.ehlo_or_helo_if_needed()
        if self.user is not None:
            smtp.login(self.user, self.password or "")
        code, _ = smtp.mail(self.sender)
        if code != 250:
            return Outcome("not_delivered", f"{self.address} does not take mail from {self.sender} ({code}).")
        code, _ = smtp.rcpt(self.recipient)
        if code not in (250, 251):
            return _judged(code, self.address)
        code, _ = smtp.docmd("DATA")
        return None if code == 354 else Outcome("not_delivered", f"{self.address} does not take content ({code}).")

    def _finish(self, smtp: smtplib.SMTP, content: bytes) -> Outcome:
        try:
            smtp.send(content.removesuffix(b"\r\n") + b"\r\n.\r\n")
            code, _ = smtp.getreply()
        except (OSError, smtplib.SMTPException) as exc:
            return Outcome("unknown", f"{self.address} had the mail and did not answer: {_said(exc)}.", goes_on=False)
        return _judged(code, self.address)

    def _mail(self, message: Message) -> EmailMessage:
        """No text of the shop is in a header, so none can add one; the addresses were checked with the settings."""
        subject, lines = _alert_text(message) if message.is_alert else _draft_text(message)
        mail = EmailMessage(policy=policy.SMTP)
        mail["From"], mail["To"] = self.sender, self.recipient
        mail["Subject"] = f"{subject} {message.idem_key}"
        mail["Message-ID"] = f"<{message.idem_key}@{self.sender.rpartition('@')[2]}>"
        mail["Date"] = message.created_at.replace(tzinfo=UTC)
        mail["Auto-Submitted"] = "auto-generated"
        key = f"Key: {message.idem_key}. A second mail with this key is the same one."
        mail.set_content("\n".join([*lines, "", key]) + "\n", cte="quoted-printable")
        mail.add_attachment(message.body, maintype="application", subtype="json", filename=f"{message.idem_key}.json")
        return mail


def _draft_text(message: Message) -> tuple[str, list[str]]:
    """Subject and text of a mail that asks for something, or takes it back."""
    data = message.data
    is_new = data["action"] == "create"
    subject, asked = _ASKS[data["kind"]]
    lines = [f"{label}: {_plain(data[name])}" for name, label in _LABELS.items() if data.get(name) is not None]
    begins = asked if is_new else f"Please cancel the {subject} of the mail named below."
    return subject.capitalize() if is_new else f"CANCELLED: {subject}", [begins, "", *lines]


def _alert_text(message: Message) -> tuple[str, list[str]]:
    """Subject and text of a mail that tells of alerts; the subject has no text that anybody wrote."""
    data, listed = message.data, message.data["exceptions"]
    if message.type == "alert.digest":
        counts = ", ".join(f"{count} {_plain(name)}" for name, count in data["counts"].items())
        lines = [f"Exceptions of {_plain(data['owner'])} on {data['digest_date']}: {counts}.", *map(_alert_line, listed)]
        return "Digest", lines + (["", "Resolved:", *map(_alert_line, data["resolved"])] if data["resolved"] else [])
    is_raised = message.type == "alert.raised"
    more = data["count"] - len(listed)
    lines = [f"{'Raised' if is_raised else 'Over'} by rule {_plain(data['rule'])} ({data['severity']}):", *map(_alert_line, listed)]
    return ("Alert" if is_raised else "Alert over"), lines + ([f"and {more} more: ordercast alerts"] if more else [])


def _alert_line(one: dict[str, Any]) -> str:
    amount = f" At stake: {one['currency_code']} {one['expected_amount']}." if one.get("expected_amount") else ""
    due = f" Due {one['due_at'][:16].replace('T', ' ')} UTC." if one.get("due_at") and not one.get("resolution") else ""
    over = f" {one['resolution']}" if one.get("resolution") else ""
    return _plain(f"- {one['detail']}{amount}{due}{over} ({one['exception_id'][:8]})")


def _judged(code: int, address: str) -> Outcome:
    if 200 <= code < 300:
        return Outcome("delivered", f"{address} took it ({code})")
    if 500 <= code < 600:
        return Outcome("refused", f"{address} refused it ({code}).")
    return Outcome("not_delivered", f"{address} does not take it now ({code}).")


def _plain(value: Any) -> str:
    """The value on one line: a name that holds a line break cannot write lines of its own. Order lines are their ids and units."""
    if isinstance(value, list):
        return ", ".join(_plain(f"{line['order_line_id']}: {line['qty']}") for line in value)
    return "".join(char if char.isprintable() else "?" for char in str(value))


def _said(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({exc.verify_message})"
    if isinstance(exc, smtplib.SMTPAuthenticationError):
        return "it refused the user name or password"
    if isinstance(exc, smtplib.SMTPNotSupportedError):
        return "it offers no TLS or no login"
    if isinstance(exc, smtplib.SMTPResponseException):
        return f"it answered {exc.smtp_code}"
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
