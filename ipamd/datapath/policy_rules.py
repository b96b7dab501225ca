"""The rules of a pod's address: to the pod by the main table, from the pod by its ENI's.

Source: spec/terway.md 4.1.
"""

from collections.abc import Sequence

from host import rtnl, rtnl_codes, rtnl_read
from host.netlink import Request
from ipamd.datapath import model, node

_ROUNDS = 64
"""Rules of one address that are deleted at most; nobody has as many."""


def additions(addresses: Sequence[model.Address], *, table: int) -> list[Request]:
    """Adds both rules of every address. table: of its ENI."""
    requests = []
    for address in addresses:
        requests.append(
            rtnl.add_rule_to(
                address, priority=model.PRIORITY_TO_POD, table=rtnl_codes.RT_TABLE_MAIN
            )
        )
        requests.append(rtnl.add_rule_from(address, priority=model.PRIORITY_FROM_POD, table=table))
    return requests


def clear(here: node.Node, addresses: Sequence[model.Address]) -> None:
    """Delete every rule to and from these addresses: one left over would win over a new one."""
    requests = []
    for address in addresses:
        requests.append(rtnl.delete_rule_to(address, priority=model.PRIORITY_TO_POD, table=0))
        requests.append(rtnl.delete_rule_from(address, priority=model.PRIORITY_FROM_POD, table=0))
    for _ in range(_ROUNDS):
        acks = here.try_all(requests)
        requests = [ack.request for ack in acks if not ack.error]
        if not requests:
            return


def delete(here: node.Node, rule: model.HostRule) -> None:
    """Delete one rule, exactly."""
    is_to_pod = rule.priority == model.PRIORITY_TO_POD
    request = rtnl.delete_rule_to if is_to_pod else rtnl.delete_rule_from
    here.try_all([request(rule.address, priority=rule.priority, table=rule.table)])


def of_a_pod(rule: rtnl_read.Rule) -> model.HostRule | None:
    """A rule as ours are, None for another one."""
    network = None
    if rule.priority == model.PRIORITY_TO_POD:
        network = rule.destination
    elif rule.priority == model.PRIORITY_FROM_POD:
        network = rule.source
    if network is None or network.num_addresses != 1:
        return None
    return model.HostRule(priority=rule.priority, address=network.network_address, table=rule.table)
