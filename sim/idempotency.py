"""ClientToken: the same request twice gives one effect and the same answer."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sim import clock, errors, store

_LONGEST = 64
KEEP_S = 24 * 3600.0
_KIND = "client_token"
_PRUNE_EVERY_S = 600.0
# What differs between attempts at one request without changing what is asked for.
_NOT_COMPARED = frozenset(
    {"Signature", "SignatureNonce", "SignatureMethod", "SignatureVersion", "SignatureType"}
    | {"Timestamp", "AccessKeyId", "SecurityToken", "Format", "Action", "Version"}
)


class Tokens:
    """Answers by (action, ClientToken), kept for 24 simulated hours in the store."""

    def __init__(self, rows: store.Store, time: clock.Clock) -> None:
        self._store = rows
        self._clock = time
        self._busy: set[str] = set()
        self._next_prune_s = 0.0

    def begin(self, action: str, values: Mapping[str, str]) -> str:
        """Claim the request's token until `end`; its key, "" when the request has none.

        Raises ApiError 403 IdempotentProcessing while another request holds it.
        """
        token = values.get("ClientToken", "")
        if not token:
            return ""
        key = f"{action}/{token}"
        if key in self._busy:
            raise errors.ApiError(
                "IdempotentProcessing",
                403,
                f"The previous idempotent request with ClientToken {token} is still processing.",
            )
        self._busy.add(key)
        return key

    def end(self, key: str) -> None:
        """Let go of a token; "" and unknown keys are fine."""
        self._busy.discard(key)

    def recall(self, key: str, values: Mapping[str, str]) -> dict[str, Any] | None:
        """The answer that was given to this token, None when it is new or has expired.

        Raises ApiError 400 IdempotentParameterMismatch when the parameters differ.
        """
        row = self._store.get(_KIND, key)
        if row is None or row["until_s"] <= self._clock.now_s():
            return None
        if row["parameters"] != _digest(values):
            raise errors.ApiError(
                "IdempotentParameterMismatch",
                400,
                "The request uses the same ClientToken as a previous, but not identical request. "
                f"Do not reuse ClientToken {values['ClientToken']} with different parameters.",
            )
        return dict(row["answer"])

    def store(self, key: str, values: Mapping[str, str], answer: Mapping[str, Any]) -> None:
        """Keep the answer; inside the transaction of the action, so both are there or neither."""
        now_s = self._clock.now_s()
        self._prune(now_s)
        row = {"until_s": now_s + KEEP_S, "parameters": _digest(values), "answer": answer}
        self._store.put(_KIND, key, row)

    def _prune(self, now_s: float) -> None:
        if now_s < self._next_prune_s:
            return
        self._next_prune_s = now_s + _PRUNE_EVERY_S
        for key, row in self._store.items(_KIND):
            if row["until_s"] <= now_s:
                self._store.delete(_KIND, key)


def require_valid(values: Mapping[str, str]) -> None:
    """Raise ApiError 400 InvalidParameter for a ClientToken that no page of the API allows."""
    token = values.get("ClientToken", "")
    if len(token) > _LONGEST or not token.isascii():
        raise errors.invalid_parameter(
            "ClientToken", token, f"ASCII, at most {_LONGEST} characters"
        )


def _digest(values: Mapping[str, str]) -> str:
    compared = sorted((k, v) for k, v in values.items() if k not in _NOT_COMPARED)
    return hashlib.sha256(json.dumps(compared).encode()).hexdigest()
