"""What a cloud error code means, and what its message may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import errors as cloud_errors
from core.errors import Kind

CASES = [
    ("Throttling", 400, Kind.UNAVAILABLE),
    ("Throttling.User", 400, Kind.UNAVAILABLE),
    ("Throttling.Api", 503, Kind.UNAVAILABLE),
    ("ServiceUnavailable", 503, Kind.UNAVAILABLE),
    ("InternalError", 500, Kind.UNAVAILABLE),
    ("SignatureNonceUsed", 400, Kind.UNAVAILABLE),
    ("Forbidden.RAM", 403, Kind.DENIED),
    ("Forbidden", 403, Kind.DENIED),
    ("NoPermission", 403, Kind.DENIED),
    ("InvalidAccessKeyId.NotFound", 404, Kind.UNAUTHENTICATED),
    ("InvalidAccessKeyId.Inactive", 403, Kind.UNAUTHENTICATED),
    ("SignatureDoesNotMatch", 400, Kind.UNAUTHENTICATED),
    ("InvalidSecurityToken.Expired", 403, Kind.UNAUTHENTICATED),
    ("InvalidTimeStamp.Expired", 400, Kind.UNAUTHENTICATED),
    ("InvalidDiskId.NotFound", 404, Kind.NOT_FOUND),
    ("InvalidSnapshotId.NotFound", 404, Kind.NOT_FOUND),
    ("InvalidInstanceId.NotFound", 404, Kind.NOT_FOUND),
    ("InvalidRegionId.NotFound", 404, Kind.PRECONDITION),
    ("InvalidAction.NotFound", 404, Kind.PRECONDITION),
    ("QuotaExceed.PortableCloudDisk", 403, Kind.EXHAUSTED),
    ("InstanceDiskLimitExceeded", 403, Kind.EXHAUSTED),
    ("SecurityGroupInstanceLimitExceed", 403, Kind.EXHAUSTED),
    ("EniPerInstanceLimitExceeded", 403, Kind.EXHAUSTED),
    ("InvalidOperation.Ipv4CountExceeded", 403, Kind.EXHAUSTED),
    ("OperationDenied.NoStock", 403, Kind.EXHAUSTED),
    ("OperationDenied.TooManyFilesets", 403, Kind.EXHAUSTED),
    ("OperationDenied.TooManyDepths", 403, Kind.INVALID),
    ("OperationDenied.InvalidState", 403, Kind.BUSY),
    ("OperationDenied.AlreadyExists", 403, Kind.PRECONDITION),
    ("IllegalCharacters", 400, Kind.INVALID),
    ("InvalidAccountStatus.NotEnoughBalance", 403, Kind.EXHAUSTED),
    ("Zone.NotOnSale", 400, Kind.EXHAUSTED),
    ("IncorrectDiskStatus", 403, Kind.BUSY),
    ("IncorrectDiskStatus.Initializing", 403, Kind.BUSY),
    ("IncorrectDiskStatus.NeverAttached", 403, Kind.PRECONDITION),
    ("Operation.Conflict", 403, Kind.BUSY),
    ("InvalidOperation.Conflict", 403, Kind.BUSY),
    ("OperationConflict.DisksAttachingParallellyExceed", 400, Kind.BUSY),
    ("LastOrderProcessing", 400, Kind.BUSY),
    ("LastTokenProcessing", 403, Kind.BUSY),
    ("IdempotentProcessing", 403, Kind.BUSY),
    ("InvalidDisk.InUse", 404, Kind.BUSY),
    ("InvalidStatus.DiskNotReady", 403, Kind.BUSY),
    ("IdempotentParameterMismatch", 400, Kind.EXISTS),
    ("InvalidDiskStatus.DeleteProtection", 403, Kind.PRECONDITION),
    ("InvalidInstanceStatus.NotRunning", 403, Kind.PRECONDITION),
    ("DiskInCoolingPeriod", 403, Kind.PRECONDITION),
    ("ResourcesNotInSameZone", 403, Kind.PRECONDITION),
    ("InvalidInstanceType.NotSupportDiskCategory", 403, Kind.PRECONDITION),
    ("InvalidDiskSize.NotSupported", 403, Kind.INVALID),
    ("InvalidParameter", 400, Kind.INVALID),
    ("MissingParameter", 400, Kind.INVALID),
    ("SomethingNew", 403, Kind.INTERNAL),
    ("SomethingNew", 429, Kind.UNAVAILABLE),
    ("SomethingNew", 502, Kind.UNAVAILABLE),
    ("NoAnswer", 0, Kind.UNAVAILABLE),
]


@pytest.mark.parametrize(("code", "status", "kind"), CASES)
def test_a_code_has_its_kind(code: str, status: int, kind: Kind) -> None:
    assert cloud_errors.classify(code, status).kind is kind


@given(code=st.text(max_size=40), status=st.integers(500, 599))
def test_a_server_error_is_never_final_because_the_effect_may_have_happened(
    code: str, status: int
) -> None:
    assert cloud_errors.classify(code, status).kind is Kind.UNAVAILABLE


@given(rest=st.text(max_size=20), status=st.integers(400, 599))
def test_throttling_is_known_by_its_prefix_whatever_the_status(rest: str, status: int) -> None:
    assert cloud_errors.classify(f"Throttling{rest}", status) is cloud_errors.Throttled


def test_the_message_names_action_code_text_and_request_id() -> None:
    error = cloud_errors.make(
        action="AttachDisk",
        code="IncorrectDiskStatus",
        status=403,
        message="The disk is busy.",
        request_id="R-1",
    )

    assert isinstance(error, cloud_errors.CloudConflict)
    assert str(error) == (
        "AttachDisk failed: IncorrectDiskStatus: The disk is busy. (request id R-1)"
    )
    assert (error.action, error.code, error.status, error.request_id) == (
        "AttachDisk",
        "IncorrectDiskStatus",
        403,
        "R-1",
    )


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "IncompleteSignature"])
def test_what_was_signed_is_not_repeated(code: str) -> None:
    error = cloud_errors.make(
        action="X", code=code, status=400, message="server string to sign is:POST&%2F&secret"
    )

    assert "string to sign" not in str(error)
    assert "check the credentials" in str(error)
