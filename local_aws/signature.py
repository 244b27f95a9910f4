"""Verifies AWS signatures, version 4, in the header Authorization.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.utils import normalize_url_path

from local_aws.keys import Keys
from local_aws.wsgi import read_body

_FIELDS = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")


@dataclass(frozen=True)
class Claim:
    """The signature of a request, as the request states it."""

    access_key_id: str
    signature: str
    service: str = ""
    region: str = ""
    date: str = ""
    signed_headers: str = ""

    def problem(self, environ: dict[str, Any], keys: Keys) -> str:
        """``unknown`` or ``wrong``; empty if ``keys`` produce the same signature."""
        secret = keys.secret_of(self.access_key_id)
        if secret is None:
            return "unknown"
        same = hmac.compare_digest(_signature(self, environ, secret), self.signature)
        return "" if same else "wrong"


def claim_of(environ: Mapping[str, Any]) -> Claim | None:
    """The signature of a request; None if there is none or it cannot be parsed."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    fields = dict(_FIELDS.findall(header)) if header.startswith("AWS4-HMAC-SHA256 ") else {}
    parts = fields.get("Credential", "").rsplit("/", 4)
    if len(parts) != 5 or not fields.get("Signature"):
        return None
    access_key_id, date, region, service, _ = parts
    signed_headers = fields.get("SignedHeaders", "")
    return Claim(access_key_id, fields["Signature"], service, region, date, signed_headers)


def _signature(claim: Claim, environ: dict[str, Any], secret: str) -> str:
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    canonical = hashlib.sha256(_canonical_request(claim, environ).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{_header(environ, 'x-amz-date')}\n{scope}\n{canonical}"
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _canonical_request(claim: Claim, environ: dict[str, Any]) -> str:
    path = urlsplit(_target(environ)).path or "/"
    if claim.service != "s3":
        path = quote(normalize_url_path(path), safe="/~")
    pairs = sorted(tuple(pair.partition("=")[::2]) for pair in _query(environ).split("&") if pair)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    names = claim.signed_headers.split(";")
    headers = "".join(f"{name}:{' '.join(_header(environ, name).split())}\n" for name in names)
    return "\n".join(
        [
            environ["REQUEST_METHOD"],
            path,
            query,
            headers,
            claim.signed_headers,
            _payload(claim, environ),
        ]
    )


def _payload(claim: Claim, environ: dict[str, Any]) -> str:
    """The hash of the body: the one in the header, or a computed one."""
    named = _header(environ, "x-amz-content-sha256")
    if named:
        return named
    return hashlib.sha256(read_body(environ)).hexdigest()


def _target(environ: Mapping[str, Any]) -> str:
    """Path and query as they were sent; WSGI's own variables are decoded."""
    return str(environ.get("REQUEST_URI") or environ.get("RAW_URI") or environ["PATH_INFO"])


def _query(environ: Mapping[str, Any]) -> str:
    return str(environ.get("QUERY_STRING", ""))


def _header(environ: Mapping[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    return str(environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", ""))
