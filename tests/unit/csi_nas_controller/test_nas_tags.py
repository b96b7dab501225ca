"""Whose a file system is, told by its tags."""

import pytest

from core import errors
from csi.nas.controller import tags


@pytest.mark.parametrize(
    ("told", "cluster_id"),
    [
        ({tags.CLUSTER: "c1"}, "c1"),
        ({tags.CLUSTER: "c1"}, ""),
        ({}, "c1"),
    ],
    ids=["ours", "our cluster is not known", "nobody's"],
)
def test_what_may_be_ours_is_deleted(told: dict[str, str], cluster_id: str) -> None:
    tags.require_own("file system a", told, cluster_id=cluster_id)


def test_what_another_cluster_made_is_not_deleted() -> None:
    with pytest.raises(errors.Precondition, match=r"made by cluster c1 .* cluster c2; .* the tag"):
        tags.require_own("file system a", {tags.CLUSTER: "c1"}, cluster_id="c2")
