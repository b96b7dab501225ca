import pytest

from core import errors
from csi.disk.controller import names, tags


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("pvc-1", True),
        ("Ünder_:.-9", True),
        ("盘1", True),
        ("p" * 128, True),
        ("p" * 129, False),
        ("p", False),
        ("1pvc", False),
        ("-pvc", False),
        ("p vc", False),
        ("p²", False),
        ("", False),
    ],
)
def test_disk_name_is_sent_only_when_the_cloud_takes_it(name: str, fits: bool) -> None:
    assert names.disk_name(name) == (name if fits else "")


def test_snapshot_name_may_not_begin_with_auto() -> None:
    assert names.snapshot_name("automatic") == ""
    assert names.snapshot_name("snap-1") == "snap-1"


@pytest.mark.parametrize("name", ["auto-1", "1", "a b", "x" * 129])
def test_group_name_is_never_empty_and_always_taken(name: str) -> None:
    made = names.group_name(name)

    assert names.snapshot_name(made) == made
    assert made == names.group_name(name)


def test_disk_tags_keep_the_order_of_the_reference() -> None:
    made = tags.disk_tags("pvc-1", cluster_id="c1", retention_days=3, wanted={"b": "2", "a": "1"})

    assert list(made.items()) == [
        ("k8s.aliyun.com", "true"),
        ("createdby", "alibabacloud-csi-plugin"),
        ("ack.aliyun.com", "c1"),
        ("csi.alibabacloud.com/volume-delete-autosnapshot-retentiondays", "3"),
        ("a", "1"),
        ("b", "2"),
        ("csi.alibabacloud.com/volume-name", "pvc-1"),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("createdby", "me"),
        ("k8s.aliyun.com", "x"),
        ("ack.aliyun.com", "x"),
        ("csi.alibabacloud.com/volume-name", "x"),
        ("aliyun", "x"),
        ("acs:x", "x"),
        ("", "x"),
        ("k" * 129, "x"),
        ("k", "v" * 129),
        ("k", "see http://x"),
    ],
)
def test_tags_that_are_ours_or_that_the_cloud_refuses_are_refused(key: str, value: str) -> None:
    with pytest.raises(errors.InvalidField):
        tags.require_user_tag("diskTags", key, value)


def test_more_tags_than_a_disk_can_carry_are_refused_beforehand() -> None:
    wanted = {f"k{n}": "v" for n in range(18)}

    with pytest.raises(errors.InvalidField, match="20 in all"):
        tags.disk_tags("pvc-1", cluster_id="", retention_days=None, wanted=wanted)


def test_a_name_with_a_link_is_hashed_for_its_tag() -> None:
    assert tags.disk_tags("http://x", cluster_id="", retention_days=None, wanted={})[
        tags.VOLUME_NAME
    ].startswith("h:")
