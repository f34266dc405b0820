"""An OpenID provider on this machine, for tests: authorization code with PKCE, RS256, and tokens that are wrong in one way each."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_ID, CLIENT_SECRET = "ordercast-pages", "a secret of the provider's"
PEOPLE = {"sub-pam": ("Pam Poe", "pam@example.com"), "sub-eve": ("Eve Ext", "eve@example.com")}
FAULTS = ("nonce", "audience", "expired", "issuer", "signature", "unsigned")


class Provider:
    """What it knows: its keys, the codes it gave out, and who was asked to leave."""

    def __init__(self, port: int, redirect_uri: str) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.redirect_uri = redirect_uri
        self.key, self.foreign_key = (RSAKey.generate_key(2048, {"kid": "one"}) for _ in range(2))
        self.codes: dict[str, tuple[dict[str, str], str, str]] = {}
        self.tokens_given = 0
        self.left = 0

    @property
    def metadata_url(self) -> str:
        """Where its metadata lies."""
        return f"{self.issuer}/.well-known/openid-configuration"

    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks", "end_session_endpoint": f"{self.issuer}/leave", "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }  # fmt: skip

    def ask(self, asked: dict[str, str]) -> str:
        """The page that asks who somebody is, with a link for each account and each fault."""
        assert (asked["client_id"], asked["redirect_uri"], asked["response_type"]) == (CLIENT_ID, self.redirect_uri, "code")
        assert asked["code_challenge_method"] == "S256"
        links = []
        for subject, fault in [*((one, "") for one in PEOPLE), *(("sub-pam", one) for one in FAULTS)]:
            code = secrets.token_urlsafe(16)
            self.codes[code] = (asked, subject, fault)
            target = f"{self.redirect_uri}?{urlencode({'code': code, 'state': asked['state']})}"
            links.append(f'<li><a href="{target}">{subject} {fault}</a></li>'.replace(" </a>", "</a>"))
        return f"<!doctype html><title>Provider</title><h1>Who are you?</h1><ul>{''.join(links)}</ul>"

    def tokens(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        """The tokens for a code, once."""
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        asked, subject, fault = self.codes.pop(form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        assert (given.split(":")[0], form["grant_type"], form["redirect_uri"]) == (CLIENT_ID, "authorization_code", self.redirect_uri)
        assert challenge == asked["code_challenge"]
        self.tokens_given += 1
        return {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": self.id_token(asked, subject, fault)}

    def id_token(self, asked: dict[str, str], subject: str, fault: str) -> str:
        """A signed token about the account, wrong in the one way that `fault` names."""
        now = int(time.time())
        name, email = PEOPLE[subject]
        claims: dict[str, Any] = {
            "iss": self.issuer, "sub": subject, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"], "name": name,
            "email": email,
        }  # fmt: skip
        claims |= {
            "nonce": {"nonce": "of another sign-in"}, "audience": {"aud": "another-program"}, "issuer": {"iss": "https://elsewhere.example.com"},
            "expired": {"iat": now - 7200, "exp": now - 3600},
        }.get(fault, {})  # fmt: skip
        if fault == "unsigned":
            parts = (json.dumps(part).encode() for part in ({"alg": "none", "kid": "one"}, claims))
            return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.foreign_key if fault == "signature" else self.key)


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if path == "/authorize":
            self._answer(self.provider.ask(asked), "text/html")
        elif path == "/leave":
            self.provider.left += 1
            self.send_response(302)
            self.send_header("Location", asked["post_logout_redirect_uri"])
            self.end_headers()
        elif path == "/jwks":
            self._answer(json.dumps({"keys": [self.provider.key.as_dict(private=False) | {"use": "sig", "alg": "RS256"}]}))
        else:
            self._answer(json.dumps(self.provider.metadata()))

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(text).items()}
        self._answer(json.dumps(self.provider.tokens(form, self.headers["Authorization"])))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: a test's output is about the test."""

    def _answer(self, text: str, kind: str = "application/json") -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def provider_for(redirect_uri: str) -> Iterator[Provider]:
    """A provider that is up, and sends people back to this address only."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    provider = Provider(server.server_address[1], redirect_uri)
    _Handler.provider = provider
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
