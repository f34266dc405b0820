"""The target that the settings name."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, Literal

from pipelines.delivery.folder import Folder
from pipelines.delivery.mail import Mailbox
from pipelines.delivery.webhook import Webhook
from pipelines.setting_values import is_this_machine

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pipelines.delivery.message import Target
    from pipelines.settings import Settings

_IMPLICIT_TLS_PORT: Final = 465


def open_target(settings: Settings) -> Target | None:
    """Where messages go by these settings, which are complete; None where they name no target."""
    if settings.outbox_target == "webhook":
        secret = _text(settings.webhook_secret).removeprefix("whsec_")
        return Webhook(
            _text(settings.webhook_url), base64.b64decode(secret), settings.outbox_timeout_seconds, settings.webhook_honours_key
        )  # fmt: skip
    if settings.outbox_target == "email":
        return _mailbox(settings)
    if settings.outbox_target == "folder" and settings.outbox_folder is not None:
        return Folder(settings.outbox_folder.expanduser().resolve(), settings.outbox_file_format)
    return None


def _mailbox(settings: Settings) -> Mailbox:
    """TLS unless the server is this machine, where a local relay seldom has a certificate of its name."""
    host = settings.email_host or ""
    encrypted: Literal["implicit", "starttls"] = "implicit" if settings.email_port == _IMPLICIT_TLS_PORT else "starttls"
    return Mailbox(
        host, settings.email_port, "none" if is_this_machine(host) else encrypted, sender=settings.email_from or "",
        recipient=settings.email_to or "", timeout_seconds=settings.outbox_timeout_seconds, user=settings.email_user,
        password=_text(settings.email_password) or None,
    )  # fmt: skip


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
