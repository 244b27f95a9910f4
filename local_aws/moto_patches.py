"""Patches of moto outside its interpreter; ``make test-moto`` tells when they can go."""

from __future__ import annotations

import functools
from typing import Any


def treat_loopback_as_tls() -> None:
    """Bucket policies: a request on loopback counts as secure transport.

    moto does not know ``aws:SecureTransport``, and denies everything under a statement with an
    unknown condition. The usual TLS-only policy would lock everybody out of the bucket.
    """
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult

    judge = IAMPolicyStatement.is_action_permitted
    if hasattr(judge, "__wrapped__"):
        return

    @functools.wraps(judge)
    def is_action_permitted(self: Any, *arguments: Any, **named: Any) -> PermissionResult:
        transport = (
            self._statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport", "true")
        )
        if str(transport).lower() == "false":
            return PermissionResult.NEUTRAL
        return judge(self, *arguments, **named)

    IAMPolicyStatement.is_action_permitted = is_action_permitted  # type: ignore[method-assign]


def list_modules_once() -> None:
    """Caches moto's list of its services, which takes a third of a small request's time."""
    from moto import backends

    if not hasattr(backends.list_of_moto_modules, "cache_info"):
        listed = backends.list_of_moto_modules
        backends.list_of_moto_modules = functools.cache(lambda: frozenset(listed()))
