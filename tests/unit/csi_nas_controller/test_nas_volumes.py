"""Which kind a volume is of, found out in as few places as possible."""

from typing import Any, cast

import pytest

from core import errors
from csi.nas.controller import search, volumes


class Kind:
    """Answers `find` with *found*, or raises it; asked counts."""

    def __init__(self, found: object = None) -> None:
        self._found = found
        self.asked = 0

    async def find(self, volume_id: str) -> object:
        self.asked += 1
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Nobody:
    """An adoption that finds nothing."""

    async def adopt(self, volume_id: str) -> None:
        return None


def rig(subpath: Kind, filesystem: Kind, accesspoint: Kind) -> volumes.Volumes:
    return volumes.Volumes(
        subpaths=cast("Any", subpath),
        filesystems=cast("Any", filesystem),
        accesspoints=cast("Any", accesspoint),
        adoption=cast("Any", Nobody()),
    )


async def test_a_volume_on_a_server_of_ones_own_needs_no_cloud() -> None:
    cloud = Kind(errors.Unavailable("no cloud here"))

    assert await rig(Kind(), cloud, cloud).find("nfs#nas.test#/base#pvc-1") is None
    assert cloud.asked == 0


async def test_a_file_system_is_found_while_a_base_cannot_be_looked_into() -> None:
    unsure = Kind(search.Unsure("a base is out of order"))

    assert await rig(unsure, Kind("a file system"), Kind([])).find("pvc-1") == "a file system"
    assert await rig(unsure, Kind(), Kind(["a point"])).find("pvc-1") == ["a point"]


class Somebody:
    """An adoption that finds every volume."""

    async def adopt(self, volume_id: str) -> str:
        return f"{volume_id} of the existing driver"


async def test_a_volume_of_the_existing_driver_is_found_while_another_server_is_away() -> None:
    unsure = Kind(search.Unsure("a base is out of order"))
    of_both = rig(unsure, Kind(), Kind([]))
    of_both._adoption = cast("Any", Somebody())

    assert await of_both._find_or_adopt("pvc-1") == "pvc-1 of the existing driver"


async def test_what_may_be_where_nobody_can_look_is_not_called_gone() -> None:
    unsure = Kind(search.Unsure("a base is out of order"))

    with pytest.raises(search.Unsure):
        await rig(unsure, Kind(), Kind([])).delete("pvc-1")
