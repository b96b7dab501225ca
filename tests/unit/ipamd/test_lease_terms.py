"""What a lease says, when runtime, pod and the lease so far say different things."""

import dataclasses
import ipaddress

import pytest

from ipamd import model
from ipamd.attachments import lease_terms
from ipamd.datapath import model as datapath_model
from ipamd.kube import pod_wishes

ASKED, WISHED, SO_FAR = (datapath_model.Bandwidth(egress_bytes_per_s=n) for n in (1, 2, 3))
NONE = datapath_model.UNLIMITED
WISHES = pod_wishes.Wishes(bandwidth=WISHED, keep_s=60.0)
POD = model.Pod(namespace="shop", name="web-0", uid="u")
LEASE = model.Lease(
    key=model.AttachmentKey(network="net", container_id="c1", ifname="eth0"),
    ipv4=ipaddress.IPv4Address("10.0.1.5"),
    eni_id="eni-1",
    host_ifname="cali1",
    created_at=0.0,
    netns="/run/netns/x",
    bandwidth=SO_FAR,
    keep_s=300.0,
    learned=False,
)
KEPT = model.Kept(holder=model.Holder(namespace="shop", name="web-0", ifname="eth0"), keep_s=90.0)


@pytest.mark.parametrize(
    ("asked", "wishes", "known", "expected"),
    [
        (ASKED, WISHES, LEASE, ASKED),
        (NONE, WISHES, LEASE, WISHED),
        (NONE, None, LEASE, SO_FAR),
        (ASKED, None, None, ASKED),
        (NONE, None, None, NONE),
    ],
)
def test_the_runtime_s_limit_goes_first_then_the_pod_s_then_the_one_so_far(
    asked, wishes, known, expected
):
    assert lease_terms.bandwidth(asked, wishes, known) == expected


@pytest.mark.parametrize(
    ("wishes", "kept", "known", "expected"),
    [
        (WISHES, KEPT, LEASE, 60.0),
        (None, KEPT, LEASE, 90.0),
        (None, None, LEASE, 300.0),
        (None, None, None, 0.0),
    ],
)
def test_an_address_is_kept_as_the_pod_says_or_as_it_was(wishes, kept, known, expected):
    assert lease_terms.keep_s(wishes, kept, known) == expected


def test_a_pod_that_is_known_later_gets_what_it_asks_for_where_nothing_is_set():
    unlimited = dataclasses.replace(LEASE, bandwidth=NONE)

    learned = lease_terms.learned(unlimited, POD, WISHES)

    assert (learned.pod, learned.bandwidth, learned.keep_s) == (POD, WISHED, 60.0)
    assert learned.learned


def test_links_in_a_namespace_that_nobody_knows_keep_their_limits():
    found = dataclasses.replace(LEASE, bandwidth=NONE, netns="")

    assert lease_terms.learned(found, POD, WISHES).bandwidth == NONE
