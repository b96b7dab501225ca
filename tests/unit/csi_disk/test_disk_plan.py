from collections.abc import Mapping

import pytest

from core import errors
from csi.disk import topology_keys
from csi.disk.controller import params, plan, tags, topology
from tests.unit.csi_disk import disk_harness as harness

ZONE_KEY = "topology.diskplugin.csi.alibabacloud.com/zone"
STANDARD = "topology.kubernetes.io/zone"


def labels(
    parameters: Mapping[str, str],
    gib: int,
    *,
    zones: tuple[str, ...] = ("a",),
    instance_id: str = "",
    limit_bytes: int = 0,
    source_gib: int = 0,
) -> tuple[list[str], list[str]]:
    planned = plan.plan_attempts(
        params.parse(parameters),
        zone_ids=zones,
        size=plan.SizeRange(required_gib=gib, limit_bytes=limit_bytes, source_gib=source_gib),
        instance_id=instance_id,
    )
    made = [f"{attempt.label} {attempt.size_gib}" for attempt in planned.attempts]
    return made, [refusal.text for refusal in planned.refusals]


def test_types_and_levels_are_tried_in_order_and_levels_too_small_skipped() -> None:
    made, refused = labels({"type": "cloud_essd,cloud_ssd", "performanceLevel": "PL2,PL1"}, 100)

    assert made == ["cloud_essd.PL1 in a 100", "cloud_ssd in a 100"]
    assert refused == ["cloud_essd.PL2: 100 GiB is below 461 GiB"]


def test_every_zone_is_tried_and_a_regional_type_once() -> None:
    made, _ = labels({"type": "cloud_ssd,cloud_regional_disk_auto"}, 20, zones=("a", "b"))

    assert made == ["cloud_ssd in a 20", "cloud_regional_disk_auto 20", "cloud_ssd in b 20"]


def test_single_instance_type_needs_a_chosen_node() -> None:
    parameters = {"type": "elastic_ephemeral_disk_standard"}

    made, refused = labels(parameters, 64)
    with_node, _ = labels(parameters, 64, instance_id="i-1")

    assert made == []
    assert "WaitForFirstConsumer" in refused[0]
    assert with_node == ["elastic_ephemeral_disk_standard in a 64"]


@pytest.mark.parametrize(
    ("parameters", "gib", "made"),
    [
        ({"type": "cloud_essd"}, 0, ["cloud_essd in a 20"]),
        ({"type": "cloud_essd", "performanceLevel": "PL0"}, 0, ["cloud_essd.PL0 in a 1"]),
        ({"type": "cloud_ssd"}, 5, []),
        ({"type": "cloud_ssd", "volumeSizeAutoAvailable": "true"}, 5, ["cloud_ssd in a 20"]),
        ({"type": "cloud_ssd"}, 65536, ["cloud_ssd in a 65536"]),
        ({"type": "cloud_ssd"}, 65537, []),
        ({"type": "elastic_ephemeral_disk_premium"}, 8193, []),
        ({"type": "cloud_auto", "provisionedIops": "17001"}, 20, []),
        ({"type": "cloud_auto", "provisionedIops": "17000"}, 20, ["cloud_auto in a 20"]),
        ({"type": "cloud_essd", "provisionedIops": "17001"}, 20, ["cloud_essd in a 20"]),
    ],
)
def test_sizes_and_iops_are_checked_against_the_table(
    parameters: Mapping[str, str], gib: int, made: list[str]
) -> None:
    assert labels(parameters, gib, instance_id="i-1")[0] == made


def test_limit_is_honoured_in_whole_gib() -> None:
    over, refused = labels({"type": "cloud_essd"}, 21, limit_bytes=21 * harness.GIB - 1)
    exact, _ = labels({"type": "cloud_essd"}, 21, limit_bytes=21 * harness.GIB)
    alone, _ = labels({"type": "cloud_essd"}, 0, limit_bytes=25 * harness.GIB)

    assert over == []
    assert "limit_bytes" in refused[0]
    assert exact == ["cloud_essd in a 21"]
    assert alone == ["cloud_essd in a 20"]


def test_a_copy_is_at_least_as_large_as_its_source() -> None:
    made, _ = labels({"type": "cloud_essd"}, 20, source_gib=40)

    assert made == ["cloud_essd in a 40"]
    with pytest.raises(errors.OutOfRange):
        labels({"type": "cloud_essd"}, 20, source_gib=40, limit_bytes=30 * harness.GIB)


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        ([plan.Why.SIZE], errors.Kind.OUT_OF_RANGE),
        ([plan.Why.SIZE, plan.Why.STOCK], errors.Kind.EXHAUSTED),
        ([plan.Why.PARAMETER], errors.Kind.INVALID),
        ([plan.Why.SIZE, plan.Why.PARAMETER], errors.Kind.INVALID),
    ],
)
def test_what_is_told_when_nothing_worked_depends_on_what_would_help(
    reasons: list[plan.Why], kind: errors.Kind
) -> None:
    refusals = [plan.Refusal(why=why, text=f"because {why}") for why in reasons]

    error = plan.no_attempt_left(refusals)

    assert error.kind is kind
    assert all(f"because {why}" in str(error) for why in reasons)


def requirement(*preferred: str, requisite: tuple[str, ...] = ()) -> topology.Requirement:
    return topology.Requirement(
        preferred=tuple({ZONE_KEY: zone} for zone in preferred),
        requisite=tuple({STANDARD: zone} for zone in requisite),
    )


@pytest.mark.parametrize(
    ("asked", "wanted", "zones"),
    [
        (requirement("b", "a", requisite=("a", "b", "c")), (), ("b", "a", "c")),
        (requirement(requisite=("a", "b")), ("b",), ("b",)),
        (requirement("a", requisite=("a", "b")), ("b", "a"), ("a", "b")),
        (requirement(), ("b", "a"), ("b", "a")),
        (requirement(), (), ()),
        (topology.Requirement(requisite=({"x": "y"},)), (), ()),
    ],
)
def test_zones_come_preferred_first_then_requisite_narrowed_by_parameters(
    asked: topology.Requirement, wanted: tuple[str, ...], zones: tuple[str, ...]
) -> None:
    assert topology.choose_zones(asked, wanted=wanted, region_id="r") == zones


def test_a_requirement_that_cannot_be_met_is_no_licence_for_any_zone() -> None:
    with pytest.raises(topology.Unreachable, match="zoneId b only"):
        topology.choose_zones(requirement(requisite=("a",)), wanted=("b",), region_id="r")


def test_another_region_is_unreachable() -> None:
    asked = topology.Requirement(requisite=({"topology.kubernetes.io/region": "far"},))

    with pytest.raises(topology.Unreachable, match="far"):
        topology.choose_zones(asked, wanted=("b",), region_id="near")


LINGJUN = {topology_keys.LINGJUN: "true", topology_keys.LINGJUN_HPN_ZONE: "hpn-1"}


def test_lingjun_nodes_get_a_tag_and_a_segment() -> None:
    asked = topology.Requirement(preferred=(LINGJUN,))

    made = topology.plan_lingjun(asked, {}, restrict_to_hpn_zone=True)

    assert made.tags == {tags.LINGJUN_PRODUCT: "eflo", tags.LINGJUN_HPN_ZONE: "hpn-1"}
    assert made.segments == LINGJUN


def test_mixed_nodes_get_neither() -> None:
    asked = topology.Requirement(requisite=(LINGJUN, {}))

    assert topology.plan_lingjun(asked, {}, restrict_to_hpn_zone=True) == topology.Lingjun()


@pytest.mark.parametrize(
    ("term", "user_tags"),
    [
        (LINGJUN, {tags.LINGJUN_PRODUCT: "other"}),
        (LINGJUN, {tags.LINGJUN_HPN_ZONE: "mine"}),
        ({topology_keys.LINGJUN: "true"}, {}),
    ],
)
def test_contradicting_lingjun_wishes_are_refused(
    term: Mapping[str, str], user_tags: Mapping[str, str]
) -> None:
    with pytest.raises(errors.InvalidField):
        topology.plan_lingjun(
            topology.Requirement(requisite=(term,)), user_tags, restrict_to_hpn_zone=True
        )
