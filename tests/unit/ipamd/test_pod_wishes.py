import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd import events
from ipamd.datapath import model as datapath_model
from ipamd.kube import pod_wishes
from kube import pods

INGRESS = "k8s.aliyun.com/ingress-bandwidth"
EGRESS = "k8s.aliyun.com/egress-bandwidth"


def pod(owner_kind="", **annotations):
    told = {f"k8s.aliyun.com/{key.replace('_', '-')}": v for key, v in annotations.items()}
    return pods.Pod(
        namespace="shop", name="web-0", uid="u", annotations=told, owner_kind=owner_kind
    )


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1B", 1),
        ("10K", 10 * 1024),
        ("10kb", 10 * 1024),
        ("10KiB", 10 * 1024),
        ("1M", 1 << 20),
        ("1.5m", 3 << 19),
        (" 2 MiB ", 2 << 20),
        ("1G", 1 << 30),
        ("0M", 0),
        ("", 0),
    ],
)
def test_a_bandwidth_is_bytes_a_second_with_a_unit(text, rate):
    wishes = pod_wishes.parse(pod(ingress_bandwidth=text))

    assert wishes.bandwidth == datapath_model.Bandwidth(ingress_bytes_per_s=rate)
    assert wishes.notes == ()


@pytest.mark.parametrize("digits", [400, 200_000])
def test_a_number_without_end_is_told_in_short(digits):
    wishes = pod_wishes.parse(pod(egress_bandwidth="9" * digits + "M"))

    assert wishes.bandwidth == datapath_model.UNLIMITED
    assert [note.reason for note in wishes.notes] == [events.Reason.PARSE_FAILED]
    assert len(wishes.notes[0].message) < 300


@pytest.mark.parametrize(
    "text", ["10", "-1M", "1e3M", "M", "10Mb/s", "ten", "1I", "1IB", "5G", "1T", "0.1B", "1MM"]
)
def test_a_bandwidth_that_cannot_be_read_is_told_and_has_no_effect(text):
    wishes = pod_wishes.parse(pod(egress_bandwidth=text, ingress_bandwidth="1M"))

    assert wishes.bandwidth == datapath_model.Bandwidth(ingress_bytes_per_s=1 << 20)
    assert [note.reason for note in wishes.notes] == [events.Reason.PARSE_FAILED]
    assert EGRESS in wishes.notes[0].message
    assert repr(text) in wishes.notes[0].message
    assert wishes.refusal == ""


@given(st.text(max_size=20))
def test_no_text_breaks_the_parser_or_gives_a_rate_the_kernel_cannot_hold(text):
    found = pod_wishes.parse(pod(ingress_bandwidth=text)).bandwidth.ingress_bytes_per_s

    assert 0 <= found <= 0xFFFFFFFF


@pytest.mark.parametrize(
    ("found", "keep_s"),
    [
        (pod("StatefulSet"), 300.0),
        (pod("CloneSet"), 300.0),
        (pod("ReplicaSet"), 0.0),
        (pod(), 0.0),
        (pod(pod_ip_reservation="true"), 300.0),
        (pod("ReplicaSet", pod_ip_reservation="false"), 0.0),
    ],
)
def test_addresses_of_stateful_pods_are_kept(found, keep_s):
    assert pod_wishes.parse(found, {"CloneSet"}).keep_s == keep_s


def test_a_pod_that_asks_for_an_interface_of_its_own_is_refused():
    assert "pod-eni" in pod_wishes.parse(pod(pod_eni="true")).refusal
    assert pod_wishes.parse(pod(pod_eni="false")).refusal == ""


def test_what_needs_the_controlplane_is_ignored_and_told():
    wishes = pod_wishes.parse(pod(pod_alloc_type='{"type":"Fixed"}', pod_networking="net"))

    assert [note.reason for note in wishes.notes] == [events.Reason.ANNOTATION_IGNORED]
    assert "pod-networking, k8s.aliyun.com/pod-alloc-type: ignored" in wishes.notes[0].message
    assert wishes.refusal == ""


def test_a_priority_is_told_to_have_no_effect():
    wishes = pod_wishes.parse(pod(network_priority="guaranteed"))

    [note] = wishes.notes
    assert note.reason is events.Reason.ANNOTATION_IGNORED
    assert "k8s.aliyun.com/network-priority: ignored" in note.message
    assert wishes.refusal == ""


def test_the_first_limit_wins_in_each_direction():
    runtime = datapath_model.Bandwidth(ingress_bytes_per_s=1, ingress_burst_bytes=9)
    annotation = datapath_model.Bandwidth(ingress_bytes_per_s=2, egress_bytes_per_s=3)

    assert pod_wishes.merge(runtime, annotation) == datapath_model.Bandwidth(
        ingress_bytes_per_s=1, ingress_burst_bytes=9, egress_bytes_per_s=3
    )
