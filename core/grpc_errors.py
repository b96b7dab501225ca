"""The one table from error kind to gRPC status."""

import grpc

from core.errors import Kind

_C = grpc.StatusCode

STATUS: dict[Kind, grpc.StatusCode] = {
    Kind.INVALID: _C.INVALID_ARGUMENT,
    Kind.NOT_FOUND: _C.NOT_FOUND,
    Kind.EXISTS: _C.ALREADY_EXISTS,
    Kind.BUSY: _C.ABORTED,
    Kind.EXHAUSTED: _C.RESOURCE_EXHAUSTED,
    Kind.PRECONDITION: _C.FAILED_PRECONDITION,
    Kind.OUT_OF_RANGE: _C.OUT_OF_RANGE,
    Kind.DENIED: _C.PERMISSION_DENIED,
    Kind.UNAUTHENTICATED: _C.UNAUTHENTICATED,
    Kind.UNAVAILABLE: _C.UNAVAILABLE,
    Kind.DEADLINE: _C.DEADLINE_EXCEEDED,
    Kind.UNSUPPORTED: _C.UNIMPLEMENTED,
    Kind.INTERNAL: _C.INTERNAL,
}
