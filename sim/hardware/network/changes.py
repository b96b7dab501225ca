"""Commands that lead from what is there to what is wanted: pure."""

from collections.abc import Iterable

from sim.hardware.network import model, ruleset

_NO_RULES = model.Rules(elements={}, chains={}, guards={})


def net_commands(have: model.Net, want: model.Net, down: Iterable[str]) -> list[str]:
    """`ip` commands. down: ports that are not up yet.

    Things on ports that were unplugged are not in *have*: the kernel removed them.
    """
    lines = []
    for name in sorted(down):
        # Else the kernel waits up to 0.8 s before it answers for others.
        lines += [
            f"ntable change name arp_cache dev {name} proxy_delay 0",
            f"ntable change name ndisc_cache dev {name} proxy_delay 0",
            f"link set {name} up",
        ]
    kept = {(dst, dev) for dst, _, dev in want.routes}
    lines += [
        f"route del {dst} dev {dev}"
        for dst, _, dev in sorted(have.routes - want.routes)
        if (dst, dev) not in kept  # with another next hop, "replace" does it
    ]
    lines += [f"neigh del proxy {ip} dev {dev}" for ip, dev in sorted(have.proxies - want.proxies)]
    mine = {(ip, dev) for ip, dev, _ in want.neighbours}
    lines += [
        f"neigh del {ip} dev {dev}"
        for ip, dev, _ in sorted(have.neighbours - want.neighbours)
        if (ip, dev) not in mine
    ]
    lines += [f"addr del {_host(ip)} dev {dev}" for ip, dev in sorted(have.local - want.local)]
    lines += [
        f"addr add {_host(ip)} dev {dev} nodad" if ":" in ip else f"addr add {_host(ip)} dev {dev}"
        for ip, dev in sorted(want.local - have.local)
    ]
    lines += [
        f"neigh replace {ip} lladdr {mac} dev {dev} nud permanent"
        for ip, dev, mac in sorted(want.neighbours - have.neighbours)
    ]
    lines += [
        f"route replace {dst} via {via} dev {dev} onlink"
        if via
        else f"route replace {dst} dev {dev}"
        # Those without a next hop first: the others' next hop is one of them.
        for via, dst, dev in sorted((v, d, p) for d, v, p in want.routes - have.routes)
    ]
    lines += [f"neigh add proxy {ip} dev {dev}" for ip, dev in sorted(want.proxies - have.proxies)]
    return lines


def rule_commands(have: model.Rules | None, want: model.Rules) -> list[str]:
    """Commands of nft for one transaction. have: None when even the fixed part must be loaded."""
    lines = [] if have is not None else ruleset.fixed()
    have = have or _NO_RULES
    table = ruleset.TABLE
    fixed = set(ruleset.SETS)
    lines += [
        f"add set {table} {name} {{ type ifname; }}"
        for name in sorted(want.elements.keys() - have.elements.keys() - fixed)
    ]
    for name in sorted(want.chains.keys() - have.chains.keys()):
        lines.append(f"add chain {table} {name}")
        lines += [f"add rule {table} {name} {rule}" for rule in want.chains[name] or ()]
    for name in sorted(want.elements):
        # Before what is new: an interval must not overlap with one that goes.
        gone = have.elements.get(name, frozenset()) - want.elements[name]
        lines += _elements("delete", name, gone)
        lines += _elements("add", name, want.elements[name] - have.elements.get(name, frozenset()))
    for name in sorted(have.chains.keys() - want.chains.keys()):
        lines += [f"flush chain {table} {name}", f"delete chain {table} {name}"]
    lines += [
        f"delete set {table} {name}"
        for name in sorted(have.elements.keys() - want.elements.keys() - fixed)
    ]
    return lines + _guards(have, want)


def _guards(have: model.Rules, want: model.Rules) -> list[str]:
    """Chains that look at frames as they come in, one a port."""
    table = ruleset.LINK_TABLE
    lines = []
    for name in sorted(have.guards.keys() - want.guards.keys()):
        # Newer kernels keep the chain of an interface that has gone.
        lines += [f"flush chain {table} {name}", f"delete chain {table} {name}"]
    for name in sorted(want.guards.keys() - have.guards.keys()):
        hook = f"type filter hook ingress device {name} priority 0;"
        wrong = f"ether saddr != {want.guards[name]} counter name foreign_mac drop"
        lines += [f"add chain {table} {name} {{ {hook} }}", f"add rule {table} {name} {wrong}"]
    return lines


def _elements(verb: str, name: str, elements: Iterable[str]) -> list[str]:
    """One command for all elements; none for none."""
    if not elements:
        return []
    return [f"{verb} element {ruleset.TABLE} {name} {{ {', '.join(sorted(elements))} }}"]


def _host(address: str) -> str:
    return f"{address}/128" if ":" in address else f"{address}/32"
