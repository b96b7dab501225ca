from typing import Any

import pytest

from kube import nodes


def node(provider_id: str = "", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "n1", "uid": "u-1", "labels": labels},
        "spec": {"providerID": provider_id},
    }


LABELS = {
    "today's": {
        "topology.kubernetes.io/region": "cn-hangzhou",
        "topology.kubernetes.io/zone": "cn-hangzhou-j",
        "node.kubernetes.io/instance-type": "ecs.g7.large",
        "alibabacloud.com/ecs-instance-id": "i-1",
    },
    "beta": {
        "failure-domain.beta.kubernetes.io/region": "cn-hangzhou",
        "failure-domain.beta.kubernetes.io/zone": "cn-hangzhou-j",
        "beta.kubernetes.io/instance-type": "ecs.g7.large",
        "alibabacloud.com/instance-id": "i-1",
    },
    "of other platforms": {
        "sigma.ali/ecs-region-id": "cn-hangzhou",
        "alibabacloud.com/ecs-zone-id": "cn-hangzhou-j",
        "beta.kubernetes.io/instance-type": "ecs.g7.large",
        "sigma.ali/ecs-instance-id": "i-1",
    },
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_labels_of_every_age_tell_the_machine(labels: dict[str, str]) -> None:
    facts = nodes.parse(node(**labels))

    assert (facts.region_id, facts.zone_id) == ("cn-hangzhou", "cn-hangzhou-j")
    assert (facts.instance_type, facts.instance_id) == ("ecs.g7.large", "i-1")
    assert not facts.is_lingjun


PROVIDERS = [
    ("cn-beijing.i-2", "cn-beijing", "i-2"),
    ("alicloud://cn-beijing.i-2", "cn-beijing", "i-2"),
    ("aws:///us-east-1a/i-2", "", ""),
    ("kind://docker/a.b/c", "", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "region", "instance"), PROVIDERS)
def test_a_provider_id_tells_region_and_instance_where_no_label_does(
    text: str, region: str, instance: str
) -> None:
    facts = nodes.parse(node(text))

    assert (facts.region_id, facts.instance_id) == (region, instance)


def test_a_label_wins_over_the_provider_id_and_the_operator_s_label_over_all() -> None:
    labels = {"alibabacloud.com/instance-id": "i-label", "mine": "i-mine"}

    assert nodes.parse(node("cn-x.i-provider", **labels)).instance_id == "i-label"
    assert (
        nodes.parse(node("cn-x.i-provider", **labels), instance_label="mine").instance_id
        == "i-mine"
    )


def test_a_lingjun_worker_is_known_by_its_labels() -> None:
    facts = nodes.parse(
        node(
            **{"alibabacloud.com/lingjun-worker": "true", "alibabacloud.com/lingjun-hpnzone": "A1"}
        )
    )

    assert facts.is_lingjun
    assert facts.hpn_zone == "A1"


def test_an_object_that_tells_nothing_gives_nothing() -> None:
    facts = nodes.parse({})

    assert facts == nodes.parse({"metadata": None, "spec": None})
    assert facts.instance_id == ""
