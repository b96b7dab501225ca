"""Netlink sockets of the routing family: requests sent in one datagram, answers by sequence number.

What requests say is `host.rtnl`'s affair. The library for this, pyroute2, takes 150 ms and 20 MB to
import and up to a millisecond per request (measured, spec/performance.md C); it checks these bytes
in the tests instead.
"""

import dataclasses
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence

from core import errors

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTR = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")

# <linux/netlink.h>
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_ECHO = 0x8
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLA_F_NESTED = 0x8000
_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1
_NLA_TYPE_MASK = 0x3FFF
_SOL_NETLINK = 270
_CAP_ACK = 10
_EXT_ACK = 11
_GET_STRICT_CHK = 12

_RECEIVE_BYTES = 64 * 1024
_DUMP_TRIES = 5
"""Looks at a table that changes meanwhile; the last one is taken as it is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One message. kind: RTM_…; flags: besides REQUEST and ACK; doing: for error messages."""

    kind: int
    body: bytes
    doing: str
    flags: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The kernel's answer to one request. error: errno, 0 = done; told: its reason, often ""."""

    request: Request
    error: int
    told: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One object the kernel listed."""

    kind: int
    body: bytes


class Refused(errors.Internal):
    """The kernel did not do what a request asked for."""

    def __init__(self, ack: Ack) -> None:
        told = f" ({ack.told})" if ack.told else ""
        super().__init__(f"{ack.request.doing}: {os.strerror(ack.error)}{told}")
        self.error = ack.error


class NoAnswer(errors.Unavailable):
    """The kernel did not answer in time."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"the kernel did not answer a network request within {timeout_s:g} s")


def attr(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = _ATTR.size + len(payload)
    return _ATTR.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    """An attribute made of attributes."""
    return attr(kind | NLA_F_NESTED, b"".join(inner))


def attrs(data: bytes) -> Mapping[int, bytes]:
    """Attributes by type; of a repeated one the last. A cut-off tail ends the list."""
    found = {}
    start = 0
    while start + _ATTR.size <= len(data):
        length, kind = _ATTR.unpack_from(data, start)
        if length < _ATTR.size or start + length > len(data):
            break
        found[kind & _NLA_TYPE_MASK] = data[start + _ATTR.size : start + length]
        start += (length + 3) & ~3
    return found


def require(acks: Sequence[Ack], *, fine: frozenset[int] = frozenset()) -> None:
    """Raise Refused for the first request that failed, unless its errno is among *fine*."""
    for ack in acks:
        if ack.error and ack.error not in fine:
            raise Refused(ack)


class Socket:
    """A socket in the network namespace of the thread that makes it; for one thread at a time.

    timeout_s: for each answer. The kernel works while it is sent to, which nothing can cut short.
    groups: multicast groups to listen to, as RTMGRP_… bits.
    """

    def __init__(self, *, timeout_s: float = 10.0, groups: int = 0) -> None:
        self._timeout_s = timeout_s
        self._sequence = 0
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            self._set_options(timeout_s)
            self._socket.bind((0, groups))
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Free the descriptor."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._socket.fileno()

    def exchange(self, requests: Sequence[Request]) -> list[Ack]:
        """Send all *requests* in one datagram; the answer to each, in order.

        The kernel goes on after a failure: a datagram is no transaction. It tells each failure, and
        is asked to tell of success only once, at the end. Raises NoAnswer.
        """
        if not requests:
            return []
        first = self._sequence + 1
        self._send(requests, NLM_F_ACK)
        acks = [Ack(request=request, error=0) for request in requests]
        while True:
            for kind, flags, sequence, body in self._receive():
                position = sequence - first
                if kind == _NLMSG_ERROR and 0 <= position < len(requests):
                    acks[position] = _ack(requests[position], flags, body)
                    if sequence == self._sequence:
                        return acks

    def dump(self, request: Request) -> list[Message]:
        """All objects that *request* asks for. Raises Refused, NoAnswer."""
        for _ in range(_DUMP_TRIES - 1):
            found, consistent = self._dump_once(request)
            if consistent:
                return found
        return self._dump_once(request)[0]

    def get(self, request: Request) -> Message | None:
        """The one object that *request* names, None when there is none. Raises Refused, NoAnswer.

        Source for the codes: ENODEV for links, ENOENT for the rest.
        """
        self._send([request], NLM_F_ACK)
        found = None
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind != _NLMSG_ERROR:
                    found = Message(kind=kind, body=body)
                    continue
                ack = _ack(request, flags, body)
                if ack.error in (errno.ENODEV, errno.ENOENT):
                    return None
                require([ack])
                return found

    def receive_events(self) -> list[Message]:
        """What the multicast groups told; waits for at least one. Raises OSError ENOBUFS."""
        messages = self._parse(self._socket.recv(_RECEIVE_BYTES))
        return [Message(kind=kind, body=body) for kind, _, _, body in messages]

    def _set_options(self, timeout_s: float) -> None:
        whole_s, rest_s = divmod(timeout_s, 1)
        timeval = struct.pack("@ll", int(whole_s), int(rest_s * 1e6))
        # Not settimeout(): it costs a poll() for each call.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        try:
            self._socket.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        except OSError as e:  # Linux < 4.20 lists everything; readers filter again
            if e.errno != errno.ENOPROTOOPT:
                raise

    def _send(self, requests: Sequence[Request], flags: int) -> None:
        """flags: of the last one, besides its own."""
        parts = []
        for request in requests:
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            length = _HEADER.size + len(request.body)
            all_flags = NLM_F_REQUEST | request.flags | (flags if request is requests[-1] else 0)
            parts.append(_HEADER.pack(length, request.kind, all_flags, self._sequence, 0))
            parts.append(request.body + bytes(-length % 4))
        self._socket.sendto(b"".join(parts), (0, 0))

    def _dump_once(self, request: Request) -> tuple[list[Message], bool]:
        self._send([request], NLM_F_DUMP)
        found: list[Message] = []
        consistent = True
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                consistent = consistent and not flags & _NLM_F_DUMP_INTR
                if kind == _NLMSG_DONE:
                    require([_ack(request, flags, body)])
                    return found, consistent
                if kind == _NLMSG_ERROR:
                    require([_ack(request, flags, body)])
                found.append(Message(kind=kind, body=body))

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError as e:
            raise NoAnswer(self._timeout_s) from e
        return self._parse(data)

    @staticmethod
    def _parse(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        start = 0
        while start + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, start)
            yield kind, flags, sequence, data[start + _HEADER.size : start + length]
            start += max((length + 3) & ~3, _HEADER.size)


def _ack(request: Request, flags: int, body: bytes) -> Ack:
    """Of an error message: the errno, and the reason that may follow the request's header."""
    if len(body) < _ERRNO.size:
        return Ack(request=request, error=0)
    error = -_ERRNO.unpack_from(body)[0]
    told = b""
    if error and flags & _NLM_F_ACK_TLVS:
        told = attrs(body[_ERRNO.size + _HEADER.size :]).get(_NLMSGERR_ATTR_MSG, b"")
    return Ack(request=request, error=error, told=told.rstrip(b"\0").decode(errors="replace"))
