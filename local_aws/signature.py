"""Verifies AWS signatures: version 4, and version 2 in S3's presigned URLs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from botocore.auth import HmacV1Auth
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

from local_aws.keys import Keys
from local_aws.wsgi import read_body

_FIELDS = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Claim:
    """The signature of a request, as the request states it."""

    access_key_id: str
    signature: str
    service: str = ""
    region: str = ""
    date: str = ""
    signed_headers: str = ""
    presigned: bool = False
    version: int = 4

    def problem(self, environ: dict[str, Any], keys: Keys) -> str:
        """``unknown``, ``wrong`` or ``expired``; empty if ``keys`` produce the same signature."""
        secret = keys.secret_of(self.access_key_id)
        if secret is None:
            return "unknown"
        sign = _version_4 if self.version == 4 else _version_2
        if not hmac.compare_digest(sign(self, environ, secret), self.signature):
            return "wrong"
        return "expired" if self.presigned and _has_expired(environ) else ""


def claim_of(environ: Mapping[str, Any]) -> Claim | None:
    """The signature of a request; None if there is none or it cannot be parsed."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    query = dict(parse_qsl(_query(environ), keep_blank_values=True))
    if header.startswith("AWS4-HMAC-SHA256 "):
        return _claim_4(dict(_FIELDS.findall(header)), presigned=False)
    if query.get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256":
        return _claim_4(
            {name.removeprefix("X-Amz-"): value for name, value in query.items()}, presigned=True
        )
    if "AWSAccessKeyId" in query and "Signature" in query:
        return Claim(
            query["AWSAccessKeyId"], query["Signature"], service="s3", presigned=True, version=2
        )
    return None


def _claim_4(fields: Mapping[str, str], *, presigned: bool) -> Claim | None:
    parts = fields.get("Credential", "").rsplit("/", 4)
    if len(parts) != 5 or not fields.get("Signature"):
        return None
    access_key_id, date, region, service, _ = parts
    return Claim(
        access_key_id,
        fields["Signature"],
        service,
        region,
        date,
        fields.get("SignedHeaders", ""),
        presigned,
    )


def _version_4(claim: Claim, environ: dict[str, Any], secret: str) -> str:
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    canonical = hashlib.sha256(_canonical_request(claim, environ).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{_timestamp(environ)}\n{scope}\n{canonical}"
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _canonical_request(claim: Claim, environ: dict[str, Any]) -> str:
    path = urlsplit(_target(environ)).path or "/"
    if claim.service != "s3":
        path = quote(normalize_url_path(path), safe="/~")
    pairs = sorted(tuple(pair.partition("=")[::2]) for pair in _query(environ).split("&") if pair)
    query = "&".join(f"{name}={value}" for name, value in pairs if name != "X-Amz-Signature")
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
    """The hash of the body, from the header if it is there, otherwise computed."""
    named = _header(environ, "x-amz-content-sha256")
    if named:
        return named
    if claim.service == "s3":
        return "UNSIGNED-PAYLOAD"
    return hashlib.sha256(read_body(environ)).hexdigest()


def _version_2(claim: Claim, environ: dict[str, Any], secret: str) -> str:
    amazon = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_")
    }
    signer = HmacV1Auth(Credentials(claim.access_key_id, secret))
    custom = signer.canonical_custom_headers(amazon)
    expires = dict(parse_qsl(_query(environ))).get("Expires", "")
    lines = [
        environ["REQUEST_METHOD"],
        _header(environ, "content-md5"),
        _header(environ, "content-type"),
        expires,
    ]
    lines += [*([custom] if custom else []), signer.canonical_resource(urlsplit(_target(environ)))]
    return str(signer.sign_string("\n".join(lines)))


def _has_expired(environ: Mapping[str, Any]) -> bool:
    query = dict(parse_qsl(_query(environ)))
    if "Expires" in query:  # version 2 has a point in time, version 4 a duration
        return time.time() > int(query["Expires"])
    return time.time() > timegm(time.strptime(query["X-Amz-Date"], _TIME)) + int(
        query["X-Amz-Expires"]
    )


def _timestamp(environ: Mapping[str, Any]) -> str:
    return _header(environ, "x-amz-date") or dict(parse_qsl(_query(environ))).get("X-Amz-Date", "")


def _target(environ: Mapping[str, Any]) -> str:
    """Path and query as they were sent, because WSGI's own variables are decoded."""
    return str(environ.get("REQUEST_URI") or environ.get("RAW_URI") or environ["PATH_INFO"])


def _query(environ: Mapping[str, Any]) -> str:
    return str(environ.get("QUERY_STRING", ""))


def _header(environ: Mapping[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    return str(environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", ""))
