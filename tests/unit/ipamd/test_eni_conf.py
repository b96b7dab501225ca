import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from core import settings as core_settings
from ipamd import eni_conf, settings
from ipamd.pool import limits


def parse(**keys):
    faults = eni_conf.Faults()
    return eni_conf.parse(keys, faults), faults


def test_the_file_of_the_chart_is_read():
    conf, faults = parse(
        version="1",
        max_pool_size=5,
        min_pool_size=0,
        enable_eni_trunking=False,
        vswitches={"cn-hangzhou-i": ["vsw-a"]},
        service_cidr="10.96.0.0/12",
        security_groups=["sg-b"],
        security_group="sg-a",
        ip_stack="ipv4",
        vswitch_selection_policy="ordered",
        credential_path="/var/addon/token-config",
        ip_pool_sync_period="2m",
    )

    assert faults.faults == []
    assert conf.vswitches == {"cn-hangzhou-i": ("vsw-a",)}
    assert conf.security_groups == ("sg-a", "sg-b")
    assert conf.vswitch_selection_policy == "ordered"
    assert conf.ip_pool_sync_period_s == 120.0


def test_a_text_that_is_nested_too_deep_is_a_fault():
    faults = eni_conf.Faults()

    assert eni_conf.load("[" * 100_000, "tuned", faults) == {}
    assert "tuned: is not JSON" in faults.faults[0]


def test_all_faults_are_told_at_once_each_with_key_value_and_what_is_allowed():
    _, faults = parse(
        max_pool_size=-1,
        vswitches=["vsw-a"],
        ip_pool_sync_period="soon",
        eni_cap_ratio=2,
        vswitch_selection_policy="best",
        security_groups=["not-a-group"],
        ipam_type="crd",
        ip_stack="dual",
    )

    told = "\n".join(faults.faults)
    assert len(faults.faults) == 8
    assert 'ip_pool_sync_period: "soon" is not allowed; allowed: a duration' in told
    assert 'ipam_type: "crd" is not allowed' in told
    assert "max_pool_size: -1 is not allowed; allowed: a whole number from 0" in told


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("ip_pool_sync_period", "0s", "from 1s to 8760h"),
        ("ip_pool_sync_period", "0", "from 1s to 8760h"),
        ("ip_pool_sync_period", "1ms", "from 1s to 8760h"),
        ("ip_pool_sync_period", "-5s", "from 1s to 8760h"),
        ("ip_pool_sync_period", "8761h", "from 1s to 8760h"),
        ("ip_pool_sync_period", 120, "from 1s to 8760h"),
        ("ip_cooldown_period", f"{'9' * 400}h", "from 0s to 24h"),
        ("idle_ip_reclaim_after", "8761h", "from 0s to 8760h"),
        ("idle_ip_reclaim_interval", "8761h", "from 0s to 8760h"),
    ],
)
def test_a_duration_that_makes_the_pool_spin_or_sleep_for_ever_is_refused(key, value, allowed):
    _, faults = parse(**{key: value})

    (told,) = faults.faults
    assert told.startswith(f"eni_conf: {key}: ")
    assert told.endswith(f"allowed: a duration such as 120s or 10m, {allowed}")


def test_the_ends_of_durations_are_allowed():
    conf, faults = parse(
        ip_pool_sync_period="1s",
        ip_cooldown_period="0s",
        idle_ip_reclaim_after="0s",
        idle_ip_reclaim_interval="8760h",
    )

    assert faults.faults == []
    assert (conf.ip_cooldown_period_s, conf.idle_ip_reclaim_after_s) == (0.0, 0.0)


def flag_faults(tmp_path, *words):
    (tmp_path / "eni_conf").write_text("{}")
    flags = settings.parse_flags(["--config", str(tmp_path / "eni_conf"), *words])
    reader = core_settings.Reader({})
    settings.read(flags, reader, {})
    return list(reader.faults)


@pytest.mark.parametrize(
    ("flag", "value", "allowed"),
    [
        ("--check-period", "0", "1 to 3600"),
        ("--check-period", "9" * 400, "1 to 3600"),
        ("--drain-timeout", "-1", "0 to 3600"),
        ("--drain-timeout", "3601", "0 to 3600"),
        ("--mtu", "0", "576 to 65535"),
    ],
)
def test_a_number_of_a_flag_that_is_out_of_range_is_refused(tmp_path, flag, value, allowed):
    assert flag_faults(tmp_path, flag, value) == [
        f"{flag}: {value} is not allowed; allowed: {allowed}"
    ]


def test_secrets_are_never_shown():
    conf, faults = parse(access_key=["LTAIsecret"], access_secret="hunter2")

    assert "LTAIsecret" not in "".join(faults.faults)
    assert "hunter2" not in repr(conf)
    assert eni_conf.shown({"access_secret": "hunter2"}) == {"access_secret": "***"}


def test_unknown_keys_and_keys_without_effect_are_warnings():
    _, faults = parse(max_pool_sze=1, hot_plug="true")

    assert faults.faults == []
    assert faults.warnings == [
        "eni_conf: hot_plug has no effect here",
        "eni_conf: max_pool_sze is not a known key",
    ]


def test_the_dynamic_configuration_is_a_merge_patch():
    base = {"max_pool_size": 5, "eni_tags": {"a": "1", "b": "2"}, "vswitches": {"z": ["v"]}}
    patch = {"max_pool_size": 10, "eni_tags": {"a": None, "c": "3"}, "vswitches": None}

    assert eni_conf.merge(base, patch) == {
        "max_pool_size": 10,
        "eni_tags": {"b": "2", "c": "3"},
    }


def test_the_warm_targets_exclude_each_other():
    _, faults = parse(warm_ip_target=1, warm_eni_target=1)

    assert faults.faults == ["eni_conf: warm_ip_target and warm_eni_target exclude each other"]


values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
)
nested = values | st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values)


@property_settings(suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(
    st.dictionaries(
        st.sampled_from([f.name.removesuffix("_s") for f in dataclasses.fields(eni_conf.EniConf)]),
        nested,
    )
)
def test_no_file_breaks_the_reader(plain):
    faults = eni_conf.Faults()

    conf = eni_conf.parse(json.loads(json.dumps(plain)), faults)

    assert isinstance(conf, eni_conf.EniConf)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, (2, 0, 0, 0)),
        ({"min_pool_size": 3, "max_pool_size": 5}, (2, 3, 5, 0)),
        ({"min_pool_size": 9, "max_pool_size": 5}, (2, 5, 5, 0)),
        ({"max_pool_size": 99}, (2, 0, 20, 0)),
        ({"min_eni": 1, "max_pool_size": 15}, (2, 10, 15, 0)),
        ({"max_eni": 1, "max_pool_size": 99}, (1, 0, 10, 0)),
        ({"eni_cap_ratio": 0.7}, (1, 0, 0, 0)),
        ({"eni_cap_shift": 5}, (2, 0, 0, 0)),
        ({"warm_ip_target": 4, "minimum_ip_target": 12}, (2, 4, 4, 12)),
        ({"warm_eni_target": 1}, (2, 10, 20, 0)),
    ],
)
def test_the_limits_of_a_node_follow_from_file_and_instance_type(keys, expected):
    conf, faults = parse(**keys)

    found = limits.choose_targets(conf, eni_quantity=3, addresses_per_eni=10)

    assert faults.faults == []
    assert (found.max_enis, found.min_free, found.max_free, found.minimum_total) == expected
