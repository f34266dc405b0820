"""What targets make of one attempt: delivered, refused, certainly not delivered, or unknown; seen from the other side of the wire."""

from __future__ import annotations

import base64
import csv
import email
import io
import json
import ssl
from dataclasses import replace
from datetime import datetime, timedelta
from email import policy
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from pipelines.decisions.audit import canonical_json
from pipelines.delivery.folder import Folder
from pipelines.delivery.mail import Mailbox
from pipelines.delivery.message import Message
from pipelines.delivery.webhook import Webhook
from tests.integration.receivers import SECRET, HttpReceiver, MailReceiver, closed_port, http_receiver, mail_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
SAID: dict[str, Any] = {
    "rec_id": "r1", "kind": "purchase", "sku": "ITEM-1", "location_id": "DC", "source_location_id": None, "supplier_id": "SUP",
    "need_by": "2026-07-10", "expected_receipt": "2026-07-08", "action": "create", "draft_id": "DRAFT-ABC", "qty": 60, "unit_cost": "3.5",
    "currency_code": "EUR",
}  # fmt: skip


def message(**changes: Any) -> Message:
    return Message(idem_key="msg_0123abcd", rec_id="r1", payload=canonical_json(SAID | changes), created_at=datetime(2026, 7, 1, 9))


def webhook(url: str, *, timeout_seconds: float = 5.0) -> Webhook:
    return Webhook(url, KEY, timeout_seconds, honours_key=False)


def mailbox(port: int, **changes: Any) -> Mailbox:
    return replace(Mailbox("127.0.0.1", port, "none", "shop@example.com", "orders@example.org", 5.0), **changes)


@pytest.fixture
def web() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    with mail_receiver() as receiver:
        yield receiver


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """A certificate authority that this machine trusts for the length of a test."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_the_reference_implementation_verifies_our_signature(web: HttpReceiver) -> None:
    sent = message()

    outcome = webhook(web.url).send(sent)

    ((headers, body),) = web.requests
    assert outcome.result == "delivered"
    assert Verifier(SECRET).verify(body, headers) == {"type": "draft_line.create", "timestamp": "2026-07-01T09:00:00Z", "data": SAID}
    assert headers["idempotency-key"] == headers["webhook-id"] == sent.idem_key
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body.replace(b'"qty":60', b'"qty":61'), headers)


@pytest.mark.parametrize(
    ("status", "result", "goes_on"),
    [
        (204, "delivered", True),
        (302, "not_delivered", True),
        (400, "refused", True),
        (408, "not_delivered", True),
        (410, "refused", True),
        (429, "not_delivered", False),
        (500, "not_delivered", True),
        (502, "unknown", False),
        (503, "not_delivered", False),
        (504, "unknown", False),
    ],
)
def test_a_status_says_what_became_of_the_message(web: HttpReceiver, status: int, result: str, goes_on: bool) -> None:
    web.script = [status]
    web.headers = {"Location": web.url}

    outcome = webhook(web.url).send(message())

    assert (outcome.result, outcome.goes_on, len(web.requests)) == (result, goes_on, 1)  # a redirect was not followed


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("999999999", timedelta(days=1)),
        ("9" * 5000, None),
        ("-5", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_the_receiver_may_ask_to_be_left_alone_for_a_day_at_most(web: HttpReceiver, asked: str, wait: timedelta | None) -> None:
    web.script, web.headers = [503], {"Retry-After": asked}

    assert webhook(web.url).send(message()).retry_after == wait


@pytest.mark.parametrize("answer", ["cut", "hang", "drip"])
def test_a_webhook_that_gets_no_answer_is_unknown_in_bounded_time(web: HttpReceiver, answer: str) -> None:
    web.script = [answer]

    outcome = webhook(web.url, timeout_seconds=0.3).send(message())

    assert (outcome.result, outcome.goes_on, len(web.requests)) == ("unknown", False, 1)


def test_a_webhook_that_nobody_listens_for_is_not_delivered() -> None:
    with closed_port() as port:
        outcome = webhook(f"http://127.0.0.1:{port}/").send(message())

    assert (outcome.result, outcome.goes_on) == ("not_delivered", False)


def test_https_is_spoken_with_a_receiver_whose_certificate_is_valid(authority: trustme.CA) -> None:
    with http_receiver(["hang", 200], tls=server_tls(authority)) as web:
        cut = webhook(web.url, timeout_seconds=0.5).send(message())
        outcome = webhook(web.url).send(message())

    assert (cut.result, outcome.result, len(web.requests)) == ("unknown", "delivered", 2)


def test_nothing_is_sent_to_a_receiver_whose_certificate_is_not_valid(authority: trustme.CA) -> None:
    with http_receiver(tls=server_tls(trustme.CA())) as web:
        outcome = webhook(web.url).send(message())

    assert (outcome.result, web.requests) == ("not_delivered", [])
    assert "certificate is not valid" in outcome.detail


def test_neither_secret_nor_path_of_a_webhook_is_ever_shown() -> None:
    with closed_port() as port:
        target = webhook(f"http://127.0.0.1:{port}/T0/hunter2?token=hunter3")
        shown = [repr(target), target.address, target.send(message()).detail]

    assert not [text for text in shown if "hunter" in text or SECRET[6:] in text or repr(KEY) in text]


def test_a_mail_says_what_to_draft_to_a_person_and_to_a_program(mail: MailReceiver) -> None:
    outcome = mailbox(mail.port).send(message())

    ((sender, recipients, content, _),) = mail.mails
    parsed = email.message_from_bytes(content, policy=policy.default)
    text, attached = parsed.iter_parts()
    assert outcome.result == "delivered"
    assert (sender, recipients) == ("shop@example.com", ["orders@example.org"])
    assert (parsed["Subject"], parsed["Message-ID"]) == ("Draft order line msg_0123abcd", "<msg_0123abcd@example.com>")
    assert "Item: ITEM-1\nUnits: 60\n" in text.get_content().replace("\r\n", "\n")
    assert json.loads(attached.get_content())["data"] == SAID


@pytest.mark.parametrize(
    ("said", "begins", "subject", "line"),
    [
        ({"kind": "defer", "po_id": "PO-17", "to_date": "2026-08-10"}, "order_change", "Order change", "Wanted: 2026-08-10"),
        ({"kind": "cancel_po", "po_id": "PO-17", "action": "cancel"}, "order_change", "CANCELLED: order change", "Order: PO-17"),
        ({"kind": "allocate", "lines": [{"order_line_id": "O-1", "qty": 6}, {"order_line_id": "O\n2", "qty": 13}]}, "reservation",
         "Reservation", "Order lines: O-1: 6, O?2: 13"),
    ],
)  # fmt: skip
def test_a_change_and_a_reservation_say_what_they_ask_for(
    said: dict[str, Any], begins: str, subject: str, line: str, mail: MailReceiver, tmp_path: Path
) -> None:
    mailbox(mail.port).send(message(**said))
    Folder(tmp_path, "csv").send(message(**said))

    parsed = email.message_from_bytes(mail.mails[0][2], policy=policy.default)
    text, attached = parsed.iter_parts()
    (told,) = csv.DictReader(io.StringIO(next(tmp_path.glob("*.csv")).read_text(encoding="utf-8")))
    assert json.loads(attached.get_content())["type"].startswith(f"{begins}.")
    assert parsed["Subject"] == f"{subject} msg_0123abcd"
    assert line in text.get_content().splitlines()
    assert told["po_id"] == said.get("po_id", "")
    assert json.loads(told["lines"] or "[]") == said.get("lines", [])


def test_no_name_of_the_shop_can_write_a_header_or_a_line_of_a_mail(mail: MailReceiver) -> None:
    evil = "X\r\nBcc: thief@example.net\r\n\r\n.\r\nMAIL FROM:<a@b>\nUnits: 9000"

    mailbox(mail.port).send(message(sku=evil, supplier_id="\u2028=?utf-8?q?a=0ABcc:_thief@example.net?=", draft_id=evil))

    ((_, recipients, content, _),) = mail.mails
    parsed = email.message_from_bytes(content, policy=policy.default)
    text, attached = parsed.iter_parts()
    assert recipients == ["orders@example.org"]
    assert parsed["Bcc"] is None
    assert {name.lower() for name in parsed} == {
        "from", "to", "subject", "message-id", "date", "auto-submitted", "mime-version", "content-type",
    }  # fmt: skip
    assert [line for line in text.get_content().splitlines() if line.startswith("Units")] == ["Units: 60"]
    assert json.loads(attached.get_content())["data"]["sku"] == evil


@pytest.mark.parametrize(
    ("rcpt", "data", "result"),
    [
        ("550 nobody here", "250 OK", "refused"),
        ("450 later", "250 OK", "not_delivered"),
        ("250 OK", "451 later", "not_delivered"),
        ("250 OK", "554 no", "refused"),
        ("250 OK", "cut", "unknown"),
        ("250 OK", "hang", "unknown"),
    ],
)
def test_a_mail_server_says_what_became_of_the_mail(mail: MailReceiver, rcpt: str, data: str, result: str) -> None:
    mail.rcpt, mail.data = rcpt, data

    assert mailbox(mail.port, timeout_seconds=0.5).send(message()).result == result


def test_a_mail_server_that_is_away_or_takes_no_login_has_not_got_the_mail(mail: MailReceiver) -> None:
    with closed_port() as port:
        away = mailbox(port).send(message())
    locked = mailbox(mail.port, user="shop", password="hunter2").send(message())

    assert (away.result, locked.result, mail.mails) == ("not_delivered", "not_delivered", [])
    assert "hunter2" not in locked.detail + repr(mailbox(1, password="hunter2"))


def test_a_mail_travels_encrypted_or_not_at_all(authority: trustme.CA, mail: MailReceiver) -> None:
    with mail_receiver(tls=server_tls(authority)) as safe:
        sent = mailbox(safe.port, tls="starttls").send(message())
    with mail_receiver(tls=server_tls(trustme.CA())) as forged:
        unsafe = mailbox(forged.port, tls="starttls").send(message())
    plain = mailbox(mail.port, tls="starttls").send(message())

    assert (sent.result, [encrypted for *_, encrypted in safe.mails]) == ("delivered", [True])
    assert (unsafe.result, forged.mails) == ("not_delivered", [])
    assert (plain.result, mail.mails) == ("not_delivered", [])


def test_a_hanging_mail_server_is_left_after_starttls_too(authority: trustme.CA) -> None:
    with mail_receiver(tls=server_tls(authority)) as mail:
        mail.data = "hang"
        outcome = mailbox(mail.port, tls="starttls", timeout_seconds=1.0).send(message())

    assert outcome.result == "unknown"


def test_a_file_that_is_dropped_twice_is_the_same_file(tmp_path: Path) -> None:
    target = Folder(tmp_path, "json")
    target.send(message())
    (file,) = tmp_path.iterdir()
    before = file.stat()

    outcome = target.send(message())

    assert outcome.result == "delivered"
    assert [one.name for one in tmp_path.iterdir()] == ["msg_0123abcd.json"]
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert json.loads(file.read_text())["data"] == SAID


def test_a_spreadsheet_finds_no_formula_in_a_dropped_file(tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://example.net","a")'

    Folder(tmp_path, "csv").send(message(sku=evil, supplier_id='+1,"\n2', location_id="@x"))

    (row,) = csv.DictReader(io.StringIO((tmp_path / "msg_0123abcd.csv").read_text(encoding="utf-8")))
    assert (row["sku"], row["supplier_id"], row["location_id"], row["qty"]) == (f"'{evil}", "'+1,\"\n2", "'@x", "60")


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    outcome = Folder(tmp_path / "share", "csv").send(message())

    assert (outcome.result, outcome.goes_on, list(tmp_path.iterdir())) == ("not_delivered", False, [])
