"""What ADD prints: what the datapath says it made, after what was there before."""

import ipaddress
import json

import pytest

from ipamd.cni import cni_config, cni_result
from ipamd.datapath import model

NEXT_HOP, NEXT_HOP_V6 = ipaddress.ip_address("169.254.1.1"), ipaddress.ip_address("fe80::1")
BOTH = model.Wired(
    host=model.MadeLink(ifname="cali1", index=7, mac="02:00:00:00:00:01"),
    pod=model.MadeLink(ifname="eth0", index=8, mac="02:00:00:00:00:02"),
    addresses=(
        model.PodAddress(interface=ipaddress.ip_interface("10.0.1.5"), gateway=NEXT_HOP),
        model.PodAddress(interface=ipaddress.ip_interface("fd00:1::5"), gateway=NEXT_HOP_V6),
    ),
    routes=(
        model.PodRoute(network=model.DEFAULT, gateway=NEXT_HOP),
        model.PodRoute(network=model.DEFAULT_V6, gateway=NEXT_HOP_V6),
    ),
)


def built(cni_version, **previous):
    config = cni_config.NetworkConfig(
        cni_version=cni_version, name="net", previous=previous or None
    )
    return json.loads(cni_result.build(config, BOTH, netns="/run/netns/x", mtu=1400))


def test_every_address_and_route_that_was_made_is_told():
    told = built("1.0.0")

    assert told["interfaces"] == [
        {"name": "cali1", "mac": "02:00:00:00:00:01"},
        {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/x"},
    ]
    assert told["ips"] == [
        {"address": "10.0.1.5/32", "gateway": "169.254.1.1", "interface": 1},
        {"address": "fd00:1::5/128", "gateway": "fe80::1", "interface": 1},
    ]
    assert told["routes"] == [
        {"dst": "0.0.0.0/0", "gw": "169.254.1.1"},
        {"dst": "::/0", "gw": "fe80::1"},
    ]


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0"])
def test_old_versions_say_which_family_an_address_is_of(version):
    assert [each["version"] for each in built(version)["ips"]] == ["4", "6"]


def test_ours_comes_after_what_was_there_before():
    told = built("1.1.0", interfaces=[{"name": "br0"}], ips=[{"address": "10.9.9.9/24"}])

    assert [each["name"] for each in told["interfaces"]] == ["br0", "cali1", "eth0"]
    assert [each.get("mtu") for each in told["interfaces"]] == [None, 1400, 1400]
    assert [each.get("interface") for each in told["ips"]] == [None, 2, 2]
