"""What the VPC's namespace holds now, read from `ip -j` and `nft -j`."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sim.hardware import api
from sim.hardware.network import command, model, ruleset

_FAMILY, _NAME = ruleset.TABLE.split()
_LINK_FAMILY, _ = ruleset.LINK_TABLE.split()
# "route" alone means IPv4, the others mean both families.
_BOTH_FAMILIES = "addr show\nroute show table main\nneigh show nud permanent\n"
_IPV6 = "route show table main\nneigh show proxy\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Interfaces of the namespace. down: those that are not up."""

    names: frozenset[str]
    down: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """rules: None when the fixed part is absent or another version's."""

    links: Links
    net: model.Net
    rules: model.Rules | None


def read(vpc: str) -> Present:
    """All that is there of what is ours to keep."""
    ip = ["ip", "-n", vpc, "-j"]
    both, six, nft = command.gather(
        [
            command.Command([*ip, "-batch", "-"], stdin=_BOTH_FAMILIES),
            command.Command([*ip, "-6", "-batch", "-"], stdin=_IPV6),
            command.Command(["nft", "-j", "list", "ruleset"], netns=vpc),
        ]
    )
    links, net = parse_net([*_rows(both), *_rows(six)])
    return Present(links=links, net=net, rules=parse_rules(json.loads(nft)["nftables"]))


def parse_net(rows: Sequence[dict[str, Any]]) -> tuple[Links, model.Net]:
    """Rows of `ip -j`: addresses, routes, neighbours and proxies in any order."""
    links = [row for row in rows if "ifname" in row]
    return (
        Links(
            names=frozenset(row["ifname"] for row in links),
            down=frozenset(row["ifname"] for row in links if "UP" not in row["flags"]),
        ),
        model.Net(
            routes=frozenset(
                (_destination(row), row.get("gateway", ""), row["dev"])
                for row in rows
                # The kernel makes some itself: for link-local addresses, for those of a port.
                if "dst" in row and not _is_neighbour(row) and row.get("protocol") != "kernel"
            ),
            neighbours=frozenset(
                (row["dst"], row["dev"], row["lladdr"]) for row in rows if "lladdr" in row
            ),
            proxies=frozenset((row["dst"], row["dev"]) for row in rows if "proxy" in row),
            local=frozenset(
                (address["local"], row["ifname"])
                for row in links
                for address in row["addr_info"]
                if address.get("scope") == "global"
            ),
        ),
    )


def parse_rules(told: Sequence[dict[str, Any]]) -> model.Rules | None:
    """Elements and chains out of `nft -j`; None as in Present."""
    chains = {name for family, name in _named(told, "chain") if family == _FAMILY}
    if ruleset.version() not in chains:
        return None
    return model.Rules(
        elements={
            each["name"]: frozenset(_element(element) for element in each.get("elem", ()))
            for row in told
            for kind, each in row.items()
            if kind in ("set", "map")
        },
        chains=dict.fromkeys(name for name in chains if name.startswith("c_")),
        guards={name: "" for family, name in _named(told, "chain") if family == _LINK_FAMILY},
    )


def read_counters(vpc: str) -> dict[str, int]:
    """Packets by the name of the counter."""
    told = json.loads(command.run(["nft", "-j", "list", "counters"], netns=vpc))["nftables"]
    return {row["counter"]["name"]: row["counter"]["packets"] for row in told if "counter" in row}


def _rows(text: str) -> Iterator[dict[str, Any]]:
    """Rows of the lists that `ip -j -batch` prints one after the other; keys tell their kinds."""
    decoder, at = json.JSONDecoder(), 0
    text = text.strip()
    while at < len(text):
        try:
            rows, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as e:
            raise api.HardwareError(f"network: ip printed {text[at : at + 80]!r}: {e}") from e
        yield from (row for row in rows if row)
        while at < len(text) and text[at].isspace():
            at += 1


def _destination(row: dict[str, Any]) -> str:
    """Of a route; what iproute2 calls "default" in both families is told apart by its next hop."""
    if row["dst"] != "default":
        return str(row["dst"])
    return "::/0" if ":" in row.get("gateway", "") else "0.0.0.0/0"


def _is_neighbour(row: dict[str, Any]) -> bool:
    return "lladdr" in row or "proxy" in row


def _named(told: Iterable[dict[str, Any]], kind: str) -> Iterator[tuple[str, str]]:
    for row in told:
        if kind in row:
            yield row[kind]["family"], row[kind]["name"]


def _element(element: Any) -> str:
    """As it is written in commands; of a map: key and value."""
    if isinstance(element, list):
        key, value = element
        return f"{_key(key)} : {_value(value)}"
    return _key(element)


def _key(key: Any) -> str:
    if isinstance(key, dict):
        if "concat" in key:
            return " . ".join(_key(part) for part in key["concat"])
        if "prefix" in key:
            return f"{key['prefix']['addr']}/{key['prefix']['len']}"
    text = str(key)
    # Of what we put into sets, only names of interfaces begin with a "p".
    return f'"{text}"' if text.startswith("p") else text


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"jump {value['jump']['target']}"
    return str(value)
