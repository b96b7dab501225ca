"""Names, addresses and servers as data: pure."""

import dataclasses
import hashlib
import ipaddress
import json
import pathlib
import zlib
from collections.abc import Iterator
from typing import Self

from sim.hardware import files_api

POOL = ipaddress.IPv4Network("198.18.0.0/15")
"""Where the addresses are from: RFC 2544 keeps it for tests of devices, so no network routes it."""
_BLOCK_PREFIX = 23
_CLIENTS = 32
BLOCK_SUFFIX = f"/{_BLOCK_PREFIX}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One export. number: of its address in the block, and in the names of what it is made of."""

    domain: str
    file_system_id: str
    path: str
    prefix: str
    number: int

    @classmethod
    def of(cls, export: files_api.Export, number: int) -> Self:
        """The server of an export."""
        return cls(
            domain=export.domain,
            file_system_id=export.file_system_id,
            path=export.path,
            prefix=export.prefix,
            number=number,
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of `text`. Raises ValueError or TypeError when it is something else."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """One line that tells all of it."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def seen_path(self) -> str:
        """What clients name to mount it."""
        return self.prefix or "/"

    @property
    def fsid(self) -> int:
        """Its number in file handles, the same after every start. 0 is the root of NFS 4."""
        if not self.prefix:
            return 0
        return 1 + zlib.crc32(f"{self.file_system_id}:{self.path}".encode()) % 0x7FFF_FFFE


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """What the things of one state directory are called; nothing else has such names."""

    tag: str

    @classmethod
    def of(cls, state_dir: pathlib.Path) -> Self:
        """Names of a state directory."""
        return cls(hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:8])

    @property
    def router(self) -> str:
        """The router's namespace."""
        return f"nas-{self.tag}"

    @property
    def link(self) -> str:
        """The end of the router's link on this machine."""
        return f"nas{self.tag}"

    def server(self, number: int) -> str:
        """The namespace of a server."""
        return f"nas-{self.tag}-{number}"

    def number(self, netns: str) -> int | None:
        """Inverse of `server`; None for other namespaces."""
        head, _, tail = netns.rpartition("-")
        return int(tail) if head == self.router and tail.isdecimal() else None

    def blocks(self) -> Iterator[ipaddress.IPv4Network]:
        """Blocks to try, from the one its hash asks for."""
        every = list(POOL.subnets(new_prefix=_BLOCK_PREFIX))
        first = int(self.tag, 16) % len(every)
        yield from every[first:]
        yield from every[:first]


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one block."""

    block: ipaddress.IPv4Network

    @property
    def router(self) -> ipaddress.IPv4Address:
        """Where all of the block is reached."""
        return self.block.network_address + 1

    @property
    def machine(self) -> ipaddress.IPv4Address:
        """This machine's own."""
        return self.block.broadcast_address - 1

    @property
    def most(self) -> int:
        """The highest number of a server."""
        return self.block.num_addresses - 4 - _CLIENTS

    @property
    def clients(self) -> list[ipaddress.IPv4Address]:
        """Addresses kept for machines that somebody joins to the router."""
        return [self.machine - n for n in range(1, _CLIENTS + 1)]

    def server(self, number: int) -> ipaddress.IPv4Address:
        """Of the server with a number, from 1 up."""
        return self.router + number

    def number(self, address: str) -> int | None:
        """Inverse of `server`; None for an address of something else."""
        try:
            number = int(ipaddress.IPv4Address(address)) - int(self.router)
        except ValueError:
            return None
        return number if 1 <= number <= self.most else None
