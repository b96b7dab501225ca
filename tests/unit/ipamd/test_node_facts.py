"""What a daemon remembers about its node, and whether it is about this machine."""

import dataclasses
import ipaddress
import json

import pytest

from cloud import eni_model
from cloud import settings as cloud_settings
from core import settings as core_settings
from ipamd import app, eni_conf, settings
from ipamd.pool import limits
from ipamd.recovery import node_facts, startup

OWN, ENI, OTHER = "00:16:3e:00:00:01", "00:16:3e:00:00:02", "00:16:3e:00:00:03"
FACTS = node_facts.NodeFacts(
    instance_id="i-1",
    instance_type="ecs.g7.large",
    zone_id="cn-hangzhou-k",
    node_ip=ipaddress.IPv4Address("10.0.0.1"),
    eni_quantity=3,
    addresses_per_eni=10,
    vswitch_id="vsw-1",
    security_group_ids=("sg-1",),
    mac=OWN,
)
OLD = dataclasses.replace(FACTS, mac="")


@pytest.mark.parametrize(
    ("facts", "instance_id", "link_macs", "own"),
    [
        pytest.param(FACTS, "i-1", {OWN}, True, id="all agrees"),
        pytest.param(FACTS, "", {OWN, OTHER}, True, id="no source tells the id"),
        pytest.param(FACTS, "i-2", {OWN}, False, id="another id"),
        pytest.param(FACTS, "", {OTHER}, False, id="other hardware"),
        pytest.param(FACTS, "i-1", {OTHER}, False, id="a Node object of the former instance"),
        pytest.param(FACTS, "", {ENI}, True, id="an interface of the pool"),
        pytest.param(OLD, "", {ENI, ""}, True, id="of an older version, with an interface"),
        pytest.param(OLD, "i-1", {OWN, ""}, False, id="of an older version, without"),
    ],
)
def test_what_is_remembered_is_believed_on_the_machine_it_is_about(
    facts: node_facts.NodeFacts, instance_id: str, link_macs: set[str], *, own: bool
) -> None:
    found = node_facts.is_of_this_machine(
        facts, instance_id=instance_id, link_macs=link_macs, eni_macs={ENI}
    )

    assert found is own


def test_facts_come_back_from_the_database_those_of_an_older_version_too() -> None:
    assert node_facts.from_json(node_facts.to_json(FACTS)) == FACTS
    plain = json.loads(node_facts.to_json(FACTS))
    del plain["mac"]
    assert node_facts.from_json(json.dumps(plain)) == OLD
    assert node_facts.from_json("{}") is None
    assert node_facts.from_json("") is None


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


async def test_interfaces_have_the_mtu_of_pods(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(
        "ipamd.datapath.kernel.open_kernel", lambda *told, mtu: opened.append((*told, mtu))
    )
    (tmp_path / "eni_conf").write_text("{}")
    flags = settings.parse_flags(["--config", str(tmp_path / "eni_conf"), "--mtu", "8500"])
    reader = core_settings.Reader({})
    process = settings.read(flags, reader, {})
    made = app.App(process, cloud_settings.read_cloud(reader), b"", lambda _: (process.conf, ()))

    await made._worker.connect(FACTS.node_ip)

    assert opened == [(FACTS.node_ip, 8500)]
    await made._worker.close()
