"""The VPC fabric on Linux: implements network_api.Network."""

import dataclasses
import socket
from typing import Any

import structlog

from sim.hardware import network_api
from sim.hardware.network import changes, command, namespaces, plan, ports, present, ruleset

log = structlog.get_logger()

_BACKLOG = 128


class LinuxNetwork:
    """Interfaces and fabric in namespaces whose names begin with *prefix*."""

    def __init__(self, prefix: str) -> None:
        self._spaces = namespaces.Namespaces(prefix)
        self._last: network_api.Fabric | None = None

    def sync(self, fabric: network_api.Fabric) -> None:
        """Make the machine's network equal to *fabric*; again changes nothing.

        What is there is read each time, so a killed run and a guest that deleted its link are
        mended. HardwareError: the machine refused; some changes may have been made.
        """
        wanted = plan.plan(fabric)
        # Kept even if it fails: `repair` is to try it again.
        self._last = fabric
        self._spaces.ensure_vpc()
        vpc = self._spaces.vpc
        have = present.read(vpc)
        # Names that begin with a "t" are of pairs that a killed run left unfinished.
        mine = have.links.names - {"lo"}
        if mine != wanted.ports.keys():
            ports.unplug(vpc, mine - wanted.ports.keys())
            missing = {name: port for name, port in wanted.ports.items() if name not in mine}
            ports.plug(self._spaces, missing, fabric.instances)
            have = present.read(vpc)
        # After unplugging: the links of a removed namespace go some time later.
        self._spaces.remove(self._stale(fabric))
        down = have.links.down & wanted.ports.keys()
        command.apply(
            vpc,
            ip=changes.net_commands(have.net, wanted.net, down),
            nft=changes.rule_commands(have.rules, wanted.rules),
        )

    def repair(self) -> bool:
        """Plug again what guests deleted, such as by ending a namespace it was in.

        Cheap when nothing is missing: then False. HardwareError as `sync`.
        """
        if self._last is None:
            return False
        there = {name for _, name in command.inside(self._spaces.vpc, socket.if_nameindex)}
        if all(plan.port_name(port) in there for port in self._last.ports):
            return False
        log.info("an interface has gone, plugging it again")
        self.sync(self._last)
        return True

    def drops(self) -> network_api.Drops:
        """What was refused since the VPC's namespace was made."""
        if self._spaces.vpc not in self._spaces.made():
            return network_api.Drops(spoofed=0, unassigned=0)
        counters = present.read_counters(self._spaces.vpc)
        return network_api.Drops(**{name: counters.get(name, 0) for name in ruleset.COUNTERS})

    def release(self) -> None:
        """Remove every namespace that was made here, by this process or one before."""
        self._last = None
        self._spaces.release()

    def close(self) -> None:
        """Let another process have the namespaces; they stay."""
        self._spaces.close()

    def open_listener(self, host: str, port: int) -> socket.socket:
        """A listening socket inside the VPC, where it stays whichever thread uses it."""
        self._spaces.ensure_vpc()
        return command.inside(
            self._spaces.vpc, lambda: socket.create_server((host, port), backlog=_BACKLOG)
        )

    def describe(self) -> dict[str, Any]:
        """For people and tests: drops, namespaces by instance, ports as the API asked for them."""
        drops = self.drops()
        told = dataclasses.asdict(drops)
        if self._last is None:
            return {"drops": told, "nodes": {}, "ports": []}
        used = {port.instance_id for port in self._last.ports}
        return {
            "drops": told,
            "nodes": {
                instance_id: self._spaces.node(name)
                for instance_id, name in self._last.instances.items()
                if instance_id in used
            },
            "ports": [
                {
                    "eni_id": port.eni_id,
                    "instance_id": port.instance_id,
                    "mac": port.mac,
                    "name": plan.port_name(port),
                    "addresses": [*port.addresses, *port.prefixes],
                }
                for port in self._last.ports
            ],
        }

    def _stale(self, fabric: network_api.Fabric) -> set[str]:
        """Namespaces of instances that there are no more."""
        kept = {self._spaces.node(name) for name in fabric.instances.values()}
        return self._spaces.made() - kept - {self._spaces.vpc}
