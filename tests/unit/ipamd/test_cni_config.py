import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd.cni import cni_config, cni_error
from ipamd.datapath import model as datapath_model


def config(**keys):
    return json.dumps({"cniVersion": "1.0.0", "name": "terway", **keys}).encode()


def code_of(raw):
    with pytest.raises(cni_error.CniError) as caught:
        cni_config.parse_config(raw)
    return caught.value.code, str(caught.value)


def test_a_minimal_configuration_has_defaults():
    parsed = cni_config.parse_config(config())

    assert parsed == cni_config.NetworkConfig(cni_version="1.0.0", name="terway")


@pytest.mark.parametrize(
    "keys",
    [
        ("ingressRate", "ingressBurst", "egressRate", "egressBurst"),
        ("IngressRate", "IngressBurst", "EgressRate", "EgressBurst"),  # containerd
    ],
)
def test_bandwidth_is_bits_on_the_outside_and_bytes_inside_whatever_the_case(keys):
    values = dict(zip(keys, [8_000_000, 80_000, 4_000_000, 40_000], strict=True))

    parsed = cni_config.parse_config(config(runtimeConfig={"bandwidth": values}))

    assert parsed.bandwidth == datapath_model.Bandwidth(
        ingress_bytes_per_s=1_000_000,
        ingress_burst_bytes=10_000,
        egress_bytes_per_s=500_000,
        egress_burst_bytes=5_000,
    )


def test_the_burst_containerd_sends_when_nobody_asked_means_the_default():
    told = {"IngressRate": 8000, "IngressBurst": 4294967295}

    parsed = cni_config.parse_config(config(runtimeConfig={"bandwidth": told}))

    assert parsed.bandwidth.ingress_burst_bytes == 0


def test_the_dns_of_the_runtime_wins_over_the_configuration():
    parsed = cni_config.parse_config(
        config(
            dns={"nameservers": ["10.0.0.2"], "search": ["a"]},
            runtimeConfig={"dns": {"Servers": ["10.0.0.3"]}},
        )
    )

    assert parsed.dns.servers == ("10.0.0.3",)
    assert parsed.dns.searches == ("a",)


@pytest.mark.parametrize(
    ("told", "valid"),
    [
        ({}, None),
        ({"cni.dev/valid-attachments": None}, frozenset()),
        ({"cni.dev/valid-attachments": []}, frozenset()),
        (
            {"cni.dev/valid-attachments": [{"containerID": "c", "ifname": "eth0"}]},
            frozenset({("c", "eth0")}),
        ),
        (
            {"cni.dev/attachments": [{"containerID": "c", "ifname": "eth0"}]},
            frozenset({("c", "eth0")}),
        ),
    ],
    ids=["missing", "null", "empty", "one", "older key"],
)
def test_valid_attachments_tell_none_from_nothing_said(told, valid):
    assert cni_config.parse_config(config(**told)).valid == valid


@pytest.mark.parametrize(
    ("raw", "code", "names"),
    [
        (b"", 6, "not JSON"),
        (b"[]", 6, "not a JSON object"),
        (b"\xff", 6, "not JSON"),
        (config(cniVersion="9.0.0"), 1, "9.0.0"),
        (config(cniVersion=""), 1, "supported: 0.3.0"),
        (config(name=""), 7, "name"),
        (config(name="../x"), 7, "name"),
        (config(mtu=1), 7, "mtu 1 is not allowed; allowed: a whole number from 576"),
        (config(mtu="1500"), 7, "mtu"),
        (config(runtimeConfig=1), 7, "runtimeConfig"),
        (config(runtimeConfig={"bandwidth": {"ingressRate": -1}}), 7, "ingressRate -1"),
        (config(runtimeConfig={"bandwidth": {"ingressRate": 7}}), 7, "at least 8 bits"),
        (config(runtimeConfig={"bandwidth": {"egressRate": "1M"}}), 7, "egressRate"),
        (config(prevResult=[]), 7, "prevResult"),
        (config(prevResult={"ips": "10.0.1.5"}), 7, "prevResult.ips"),
        (config(prevResult={"interfaces": {"name": "eth0"}}), 7, "prevResult.interfaces"),
        (config(prevResult={"routes": ["0.0.0.0/0"]}), 7, "prevResult.routes"),
        (config(dns={"nameservers": "x"}), 7, "dns"),
        (config(**{"cni.dev/valid-attachments": [{"ifname": "eth0"}]}), 7, "containerID"),
    ],
)
def test_what_is_refused_names_key_value_and_what_is_allowed(raw, code, names):
    found, message = code_of(raw)

    assert found == code
    assert names in message


@pytest.mark.parametrize(
    "keys",
    [
        {"mtu": 1},
        {"runtimeConfig": {"bandwidth": {"ingressRate": 10**18}}},
        {"runtimeConfig": 1},
        {"dns": []},
        {"prevResult": []},
    ],
)
def test_a_removal_is_not_refused_for_what_it_does_not_need(keys):
    told = config(cniVersion="1.1.0", **keys, **{"cni.dev/valid-attachments": []})

    assert cni_config.parse_del(told).name == "terway"
    assert cni_config.parse_gc(told).valid == frozenset()
    with pytest.raises(cni_error.CniError):
        cni_config.parse_config(told)


def test_the_largest_limit_that_kubernetes_takes_is_taken():
    parsed = cni_config.parse_config(config(runtimeConfig={"bandwidth": {"egressRate": 10**15}}))

    assert parsed.bandwidth.egress_bytes_per_s == 10**15 // 8


def attachment(**changes):
    values = {
        "container_id": "c1",
        "ifname": "eth0",
        "netns": "/run/netns/x",
        "args": "",
        **changes,
    }
    return cni_config.parse_attachment(
        cni_config.NetworkConfig(cni_version="1.0.0", name="net"), **values
    )


def test_the_pod_is_read_from_the_arguments_in_any_order():
    found = attachment(
        args="IgnoreUnknown=1;K8S_POD_UID=u;K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=default"
    )

    assert str(found.pod) == "default/web-0"
    assert str(found.key) == "net/c1/eth0"


def test_an_empty_namespace_path_means_there_is_none():
    assert attachment(netns="").netns_path is None


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"container_id": ""}, "CNI_CONTAINERID"),
        ({"container_id": "a/b"}, "CNI_CONTAINERID"),
        ({"ifname": ".."}, "CNI_IFNAME"),
        ({"ifname": "a b"}, "CNI_IFNAME"),
        ({"ifname": "eth%d"}, "CNI_IFNAME"),
        ({"ifname": "sixteen-letters!"}, "CNI_IFNAME"),
        ({"netns": "relative"}, "CNI_NETNS"),
        ({"args": "no-equals-sign"}, "CNI_ARGS"),
    ],
)
def test_a_bad_variable_is_named_with_code_4(changes, variable):
    with pytest.raises(cni_error.CniError, match=variable) as caught:
        attachment(**changes)

    assert caught.value.code == cni_error.INVALID_ENVIRONMENT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "cniVersion",
                "name",
                "mtu",
                "dns",
                "runtimeConfig",
                "prevResult",
                "cni.dev/valid-attachments",
            ]
        ),
        json_values | st.just("1.0.0"),
    )
)
def test_no_configuration_makes_anything_but_a_cni_error(plain):
    told = b'{"code": 1}'
    try:
        cni_config.parse_config(json.dumps(plain).encode())
    except cni_error.CniError as e:
        told = cni_error.to_json(e, "1.0.0")

    assert json.loads(told)["code"] in (1, 6, 7)


@given(st.binary(max_size=40))
def test_no_bytes_make_anything_but_a_cni_error(raw):
    with pytest.raises(cni_error.CniError):
        cni_config.parse_config(raw)
