"""What the SDK raises, as errors of ours. Source: spec/cloud-api.md 4.1.

Every name of the SDK is looked at as a text: importing its classes here would load it.
"""

import re
from typing import Any

from cloud import errors as cloud_errors
from core import errors

_MS = 1000
_URL = re.compile(r"url: \S+")
_NO_CONNECTION = ("RetryError",)
"""Inner type when nothing came back: time-out, refused, reset, no such host."""
_NO_JSON = ("RuntimeError", "JSONDecodeError")
"""Inner types when what came back is no JSON, such as a load balancer's page."""
_REASONS = (
    ("timed out", "no answer in time"),
    ("refused", "connection refused"),
    ("reset by peer", "connection reset"),
    ("Remote end closed", "connection closed without an answer"),
    ("RemoteDisconnected", "connection closed without an answer"),
    ("Name or service not known", "no such host"),
    ("Temporary failure in name resolution", "its name cannot be looked up just now"),
)


def translate(action: str, endpoint: str, error: Exception) -> errors.Error:
    """Our error for *error*, raised by the SDK while it called *action* at *endpoint*."""
    inner = getattr(error, "inner_exception", None) or error
    if isinstance(inner, errors.Error):
        return inner  # from our credential chain, which the SDK asks
    code = getattr(inner, "code", None)
    status = getattr(inner, "status_code", None) or getattr(inner, "statusCode", None)
    if code and status is not None:
        return _answered(action, str(code), int(status), inner)
    kind = type(inner).__name__
    if kind in _NO_CONNECTION or isinstance(inner, OSError):
        return _unavailable(action, "NoAnswer", f"{endpoint}: {_reason(str(inner))}")
    if kind in _NO_JSON:
        return _unavailable(action, "BadAnswer", f"{endpoint} did not answer with JSON")
    return cloud_errors.CloudInternal(
        action=action, code="SdkFailed", status=0, message=f"{kind}: {inner}"
    )


def _answered(action: str, code: str, status: int, error: Any) -> cloud_errors.CloudError:
    data = getattr(error, "data", None) or {}
    message = str(data.get("Message") or getattr(error, "message", ""))
    denied = getattr(error, "access_denied_detail", None) or data.get("AccessDeniedDetail")
    if isinstance(denied, dict) and denied.get("AuthAction"):
        message = f"{message} (RAM action {denied['AuthAction']})"
    made = cloud_errors.make(
        action=action,
        code=code,
        status=status,
        message=message,
        request_id=str(data.get("RequestId") or getattr(error, "request_id", "") or ""),
    )
    retry_after_ms = getattr(error, "retry_after", None)
    if isinstance(made, cloud_errors.Throttled) and retry_after_ms:
        made.retry_after_s = float(retry_after_ms) / _MS
    return made


def _unavailable(action: str, code: str, message: str) -> cloud_errors.CloudUnavailable:
    return cloud_errors.CloudUnavailable(action=action, code=code, status=0, message=message)


def _reason(text: str) -> str:
    """Why there was no answer, in few words; the SDK tells the whole URL too."""
    for part, reason in _REASONS:
        if part in text:
            return reason
    return _URL.sub("url: …", text)
