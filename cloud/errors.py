"""Cloud error codes and what they mean to us. Codes decide, never message texts.

What the Kubernetes side does with a kind decides where a code belongs. UNAVAILABLE, BUSY and
DEADLINE mean "may have happened, ask again with the same name": the provisioner then never forgets
the volume. EXHAUSTED makes it choose another node. All other kinds are final: it may forget the
volume, so they are only for calls the cloud refused. Codes whose meaning depends on what was being
done are settled by the caller, who matches `code`. Source of the codes: spec/cloud-api.md 4.2.
"""

from typing import ClassVar

from core import errors
from core.errors import Kind


class CloudError(errors.Error):
    """An API call failed.

    code: the API's error code, e.g. `IncorrectDiskStatus`. status: HTTP status, 0 when there was
    no answer. request_id: for Alibaba Cloud's support.
    """

    def __init__(
        self, *, action: str, code: str, status: int, message: str, request_id: str = ""
    ) -> None:
        where = f" (request id {request_id})" if request_id else ""
        super().__init__(f"{action} failed: {code}: {message}{where}")
        self.action = action
        self.code = code
        self.status = status
        self.request_id = request_id
        self.message = message


class Throttled(CloudError):
    """We call too often. retry_after_s: what the API asked for, None when it did not."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE
    retry_after_s: float | None = None


class CloudUnavailable(CloudError):
    """No answer, or a 5xx: the effect may or may not have happened."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class CloudNotFound(CloudError):
    """The resource does not exist."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class CloudExhausted(CloudError):
    """A quota is full or nothing is in stock."""

    kind: ClassVar[Kind] = Kind.EXHAUSTED


class CloudConflict(CloudError):
    """The resource is in another state just now; retry later."""

    kind: ClassVar[Kind] = Kind.BUSY


class CloudDenied(CloudError):
    """A RAM policy does not allow the call."""

    kind: ClassVar[Kind] = Kind.DENIED


class CloudUnauthenticated(CloudError):
    """The credentials are wrong or expired."""

    kind: ClassVar[Kind] = Kind.UNAUTHENTICATED


class CloudExists(CloudError):
    """The client token is taken by a different request."""

    kind: ClassVar[Kind] = Kind.EXISTS


class CloudPrecondition(CloudError):
    """The resource must change before the call can succeed."""

    kind: ClassVar[Kind] = Kind.PRECONDITION


class CloudInvalid(CloudError):
    """A parameter is not accepted."""

    kind: ClassVar[Kind] = Kind.INVALID


class CloudInternal(CloudError):
    """A code we do not know."""

    kind: ClassVar[Kind] = Kind.INTERNAL


_SERVER_ERROR = 500
_TOO_MANY = 429
_SIGNING = ("SignatureDoesNotMatch", "IncompleteSignature")

# First match wins. A * at an end of a pattern stands for any text.
_TABLE: tuple[tuple[str, type[CloudError]], ...] = (
    ("Throttling*", Throttled),
    ("TooManyRequests*", Throttled),
    ("ServiceUnavailable*", CloudUnavailable),
    ("InternalError*", CloudUnavailable),
    # A nonce is used twice only when a network repeats a request; a new attempt has a new one.
    ("SignatureNonceUsed", CloudUnavailable),
    ("Forbidden*", CloudDenied),
    ("NoPermission*", CloudDenied),
    ("InvalidAccessKeyId*", CloudUnauthenticated),
    ("InvalidAccessKeySecret*", CloudUnauthenticated),
    ("SignatureDoesNotMatch*", CloudUnauthenticated),
    ("IncompleteSignature*", CloudUnauthenticated),
    ("InvalidSecurityToken*", CloudUnauthenticated),
    ("MissingSecurityToken*", CloudUnauthenticated),
    ("InvalidTimeStamp*", CloudUnauthenticated),
    ("IllegalTimestamp*", CloudUnauthenticated),
    ("AuthenticationFail*", CloudUnauthenticated),
    ("InvalidCredentials*", CloudUnauthenticated),
    # "Not found" about our settings, not about a volume: nobody may take it for "deleted".
    ("InvalidRegionId*", CloudPrecondition),
    ("InvalidApi*", CloudPrecondition),
    ("InvalidAction*", CloudPrecondition),
    ("InvalidVersion*", CloudPrecondition),
    ("*.NotFound", CloudNotFound),
    ("NotFound", CloudNotFound),
    ("EntityNotExist*", CloudNotFound),
    ("QuotaExceed*", CloudExhausted),
    ("*LimitExceeded", CloudExhausted),
    ("*CountExceeded", CloudExhausted),
    ("*CountsExceeded", CloudExhausted),
    ("*.NoStock", CloudExhausted),
    ("*NotEnough*", CloudExhausted),
    ("Zone.NotOnSale", CloudExhausted),
    ("DiskAttachedNumberExceeded", CloudExhausted),
    ("OperationDenied.TooManyFilesets", CloudExhausted),
    ("SecurityGroupInstanceLimitExceed", CloudExhausted),
    # Never attached, never used: waiting does not help.
    ("IncorrectDiskStatus.Never*", CloudPrecondition),
    ("IncorrectDiskStatus*", CloudConflict),
    ("IncorrectInstanceStatus*", CloudConflict),
    ("InvalidStatus*", CloudConflict),
    ("InvalidDiskStatus.DeleteProtection", CloudPrecondition),
    ("InvalidDiskStatus*", CloudConflict),
    ("OperationConflict*", CloudConflict),
    ("*.Conflict", CloudConflict),
    ("LastOrderProcessing", CloudConflict),
    ("LastTokenProcessing", CloudConflict),
    ("IdempotentProcessing", CloudConflict),
    ("DiskCreatingSnapshot", CloudConflict),
    ("DiskStillAttached", CloudConflict),
    ("DisksDetachingOnEcsExceeded", CloudConflict),
    ("DependencyViolation*", CloudConflict),
    ("InvalidDisk.InUse", CloudConflict),
    ("InvalidSnapshotId.NotReady", CloudConflict),
    ("IdempotentParameterMismatch", CloudExists),
    ("DiskInCoolingPeriod", CloudPrecondition),
    ("DiskInArrears", CloudPrecondition),
    ("InstanceLocked*", CloudPrecondition),
    ("ModifyingDiskCategoryLimitExceed", CloudPrecondition),
    ("OperationDenied.TooManyDepths", CloudInvalid),
    # "Not permitted when the status is processing".
    ("OperationDenied.InvalidState", CloudConflict),
    ("OperationDenied.ConflictOperation", CloudConflict),
    ("OperationDenied*", CloudPrecondition),
    ("InvalidOperation*", CloudPrecondition),
    ("InvalidInstanceStatus*", CloudPrecondition),
    ("InvalidAccountStatus*", CloudPrecondition),
    ("SnapshotCreated*", CloudPrecondition),
    ("DiskNotPortable", CloudPrecondition),
    ("ResourcesNotInSameZone", CloudPrecondition),
    ("InvalidInstanceType.NotSupport*", CloudPrecondition),
    ("Unsupported*", CloudPrecondition),
    ("IllegalCharacters", CloudInvalid),
    ("MissingParameter*", CloudInvalid),
    ("Invalid*", CloudInvalid),
)


def classify(code: str, http_status: int) -> type[CloudError]:
    """The class of *code*.

    A server error says nothing about the effect, whatever its code; an unknown code is judged by
    its HTTP status. http_status: 0 = there was no answer.
    """
    found = next((c for pattern, c in _TABLE if _matches(pattern, code)), None)
    if found is Throttled or http_status == _TOO_MANY:
        return Throttled
    if http_status >= _SERVER_ERROR:
        return CloudUnavailable
    if found is None:
        return CloudInternal if http_status else CloudUnavailable
    return found


def make(*, action: str, code: str, status: int, message: str, request_id: str = "") -> CloudError:
    """The error for one failed call.

    The message of a signature fault quotes what was signed, so it is replaced.
    """
    if code.startswith(_SIGNING):
        message = "the access key's secret is wrong; check the credentials and the clock"
    error_class = classify(code, status)
    return error_class(
        action=action, code=code, status=status, message=message, request_id=request_id
    )


def _matches(pattern: str, code: str) -> bool:
    if pattern.startswith("*") and pattern.endswith("*"):
        return pattern.strip("*") in code
    if pattern.endswith("*"):
        return code.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return code.endswith(pattern[1:])
    return code == pattern
