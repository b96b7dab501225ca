"""Collects what is not as it was made, in the words that CHECK and the doctor show. Pure."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Literal

from host import rtnl, rtnl_read
from ipamd.datapath import model, tbf

NOTHING = "nothing"
Where = Literal["node", "pod"]


class Differences:
    """Collects differences of one side."""

    def __init__(self, where: Where) -> None:
        self.all: list[model.Difference] = []
        self._where: Where = where

    def add(self, what: str, expected: str, found: str) -> None:
        """One that is known to be one."""
        self.all.append(
            model.Difference(where=self._where, what=what, expected=expected, found=found)
        )

    def expect(self, what: str, expected: str, found: str) -> None:
        """One unless both are the same."""
        if expected != found:
            self.add(what, expected, found)

    def link(self, link: rtnl_read.Link, name: str, kind: str, mtu: int) -> None:
        """Kind, state and MTU."""
        self.expect(f"{name} kind", kind, link.kind)
        self.expect(f"{name} state", "up", "up" if link.up else "down")
        self.expect(f"{name} mtu", str(mtu), str(link.mtu))

    def bucket(self, what: str, wanted: rtnl.Tbf | None, found: rtnl_read.Bucket | None) -> None:
        """A limit that is asked for."""
        if wanted is not None and not tbf.is_same(wanted, found):
            self.add(what, tbf.wanted_text(wanted), tbf.found_text(found))

    def address(
        self, name: str, address: model.Address, found: Sequence[rtnl_read.LinkAddress]
    ) -> None:
        """An address of the link *name*."""
        wanted = ipaddress.ip_interface(address)
        if any(each.interface == wanted for each in found):
            return
        self.add(f"{name} address", str(wanted), join(str(each.interface) for each in found))

    def route(
        self,
        what: str,
        network: model.Network,
        gateway: model.Address | None,
        found: Sequence[rtnl_read.Route],
    ) -> None:
        """A route to *network*; gateway None = on the link."""
        there = [route.gateway for route in found if route.network == network]
        if gateway not in there:
            self.add(what, _via(gateway), join(_via(each) for each in there))

    def neighbour(
        self, address: model.Address, mac: str, found: Sequence[rtnl_read.Neighbour]
    ) -> None:
        """A permanent neighbour."""
        there = [each for each in found if each.address == address]
        told = join(f"{each.mac}{'' if each.permanent else ', may expire'}" for each in there)
        self.expect(f"neighbour {address}", mac, told)


def join(texts: Iterable[str]) -> str:
    """What was found, which may be nothing."""
    return ", ".join(texts) or NOTHING


def on(flag: bool) -> str:  # noqa: FBT001 - a yes or no of the kernel, put into words
    """For messages."""
    return "on" if flag else "off"


def _via(gateway: model.Address | None) -> str:
    return "on the link" if gateway is None else f"via {gateway}"
