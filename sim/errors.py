"""The one error an action raises, and the JSON body it becomes.

Codes are not listed here: each action names those of its API page.
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refusal, as the real API would word it.

    code: e.g. "InvalidDiskId.NotFound"; http_status: 400..599; message: for the person reading it.
    detail: the `AccessDeniedDetail` object of a RAM denial; headers: extra answer headers.
    Raising it inside an action undoes every write of that action.
    """

    def __init__(
        self,
        code: str,
        http_status: int,
        message: str,
        *,
        detail: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{http_status} {code}: {message}")
        self.code = code
        self.http_status = http_status
        self.message = message
        self.detail = detail
        self.headers = dict(headers or {})

    def body(self, *, request_id: str, host_id: str) -> dict[str, Any]:
        """The JSON error body of RPC-style services (spec/cloud-api.md 4.1)."""
        answer: dict[str, Any] = {
            "RequestId": request_id,
            "HostId": host_id,
            "Code": self.code,
            "Message": self.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={self.code}",
        }
        if self.detail is not None:
            answer["AccessDeniedDetail"] = dict(self.detail)
        return answer


def missing_parameter(name: str) -> ApiError:
    """400 MissingParameter in the service's own words."""
    return ApiError(
        "MissingParameter",
        400,
        f'The input parameter "{name}" that is mandatory for processing this request is not '
        "supplied.",
    )


def invalid_parameter(name: str, value: str, allowed: str, code: str = "") -> ApiError:
    """400 InvalidParameter that says what was given and what is allowed."""
    return ApiError(
        code or "InvalidParameter",
        400,
        f'The specified parameter "{name}" is not valid: "{value}" (allowed: {allowed}).',
    )
