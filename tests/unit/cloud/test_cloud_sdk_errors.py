"""What the SDK raises, as our errors.

The shapes are those of spec/cloud-api.md 4.1; the SDK itself is tried in tests/contract.
"""

import pytest

from cloud import errors as cloud_errors
from cloud import sdk_errors
from core import errors


class Answered(Exception):
    """Stands for ClientException and its like."""

    def __init__(self, code: str, status: int, message: str = "no", **more: object) -> None:
        super().__init__(message)
        self.code, self.status_code = code, status
        self.data = {"Message": message, "RequestId": "R-1", **more}


class Wrapped(Exception):
    """Stands for UnretryableException."""

    def __init__(self, inner: Exception) -> None:
        super().__init__(str(inner))
        self.inner_exception = inner


RetryError = type("RetryError", (Exception,), {})

URL = "Max retries exceeded with url: /?OIDCToken=eyJ.secret.x (Caused by Xyz)"


def translate(error: Exception) -> errors.Error:
    return sdk_errors.translate("CreateDisk", "ecs.example:80", error)


def test_an_answer_keeps_code_status_and_request_id() -> None:
    error = translate(Answered("QuotaExceed.PostPaidDisk", 403, "full"))

    assert isinstance(error, cloud_errors.CloudExhausted)
    assert (error.code, error.status, error.request_id) == ("QuotaExceed.PostPaidDisk", 403, "R-1")
    assert "full" in str(error)


def test_a_denied_call_names_the_missing_ram_action() -> None:
    error = translate(
        Answered("Forbidden.RAM", 403, AccessDeniedDetail={"AuthAction": "ecs:CreateDisk"})
    )

    assert isinstance(error, cloud_errors.CloudDenied)
    assert "ecs:CreateDisk" in str(error)


def test_retry_after_is_kept_in_seconds() -> None:
    raised = Answered("Throttling", 429)
    raised.retry_after = 1500

    error = translate(raised)

    assert isinstance(error, cloud_errors.Throttled)
    assert error.retry_after_s == 1.5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("HTTPConnectionPool: Read timed out. (read timeout=0.5)", "no answer in time"),
        ("[Errno 111] Connection refused", "connection refused"),
        ("Connection reset by peer", "connection reset"),
        ("Remote end closed connection without response", "without an answer"),
    ],
)
def test_no_answer_is_unavailable_and_says_why(text: str, told: str) -> None:
    error = translate(Wrapped(RetryError(text)))

    assert isinstance(error, cloud_errors.CloudUnavailable)
    assert error.status == 0
    assert told in str(error)
    assert "ecs.example:80" in str(error)


def test_the_url_of_a_failed_request_is_not_told() -> None:
    assert "eyJ" not in str(translate(Wrapped(RetryError(URL))))


def test_a_page_instead_of_json_is_unavailable() -> None:
    error = translate(Wrapped(RuntimeError("<html>")))

    assert isinstance(error, cloud_errors.CloudUnavailable)
    assert error.code == "BadAnswer"


def test_our_own_error_passes_through_the_sdk() -> None:
    ours = errors.Unauthenticated("no credentials")

    assert translate(Wrapped(ours)) is ours


def test_a_fault_of_the_sdk_is_not_taken_for_the_network() -> None:
    error = translate(Wrapped(TypeError("unexpected keyword")))

    assert error.kind is errors.Kind.INTERNAL
