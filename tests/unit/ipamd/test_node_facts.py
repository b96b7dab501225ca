import ipaddress

import pytest

from cloud import eni_model
from ipamd import app, eni_conf, limits, node_facts, startup

FACTS = node_facts.NodeFacts(
    instance_id="i-1",
    instance_type="ecs.g7.large",
    zone_id="cn-hangzhou-h",
    node_ip=ipaddress.IPv4Address("10.0.0.5"),
    eni_quantity=4,
    addresses_per_eni=10,
    vswitch_id="vsw-1",
    security_group_ids=("sg-1",),
)


@pytest.mark.parametrize(
    ("instance_id", "expected"), [("i-1", FACTS), ("", FACTS), ("i-of-the-image", None)]
)
def test_what_another_instance_remembered_is_not_taken(instance_id, expected):
    text = node_facts.to_json(FACTS)

    assert node_facts.recall(text, instance_id) == expected
    assert node_facts.recall("{}", instance_id) is None


def an_eni(kind, **other):
    return eni_model.Eni(
        eni_id="eni-1", mac="", status=eni_model.EniStatus.IN_USE, type=kind, **other
    )


def test_interfaces_that_pods_cannot_use_take_their_places():
    kinds = eni_model.EniType
    conf = eni_conf.EniConf(eni_tag_filter={"for": "pods"})
    attached = [
        an_eni(kinds.PRIMARY),
        an_eni(kinds.SECONDARY, tags={"for": "pods"}),
        an_eni(kinds.SECONDARY),
        an_eni(kinds.SECONDARY, tags={"for": "pods"}, high_performance=True),
        an_eni(kinds.MEMBER),
        an_eni(kinds.TRUNK),
    ]

    others = startup.count_others(attached, conf)
    targets = limits.choose_targets(conf, eni_quantity=8, addresses_per_eni=10, others=others)

    assert others == 3
    assert targets.capacity == (8 - 1 - 3) * 10


def test_interfaces_have_the_mtu_of_pods(monkeypatch):
    made = []
    monkeypatch.setattr(
        "ipamd.datapath.veth_policy_route.VethPolicyRoute", lambda *told: made.append(told)
    )

    app._make_datapath(FACTS.node_ip, 8500)

    assert made == [(FACTS.node_ip, 8500)]
