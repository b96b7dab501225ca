"""Shared directories: nothing in the cloud tells of their volumes, so their ids do."""

import dataclasses

import pytest

from core import errors
from csi.nas.controller import made, params, parse_params, sharepath

GIB = 1 << 30


def want(name: str = "pvc-1", size: int = GIB) -> made.VolumeRequest:
    return made.VolumeRequest(name=name, required_bytes=size, limit_bytes=0, capabilities=())


def shared(**more: str) -> params.SharepathParameters:
    found = parse_params.parse({"volumeAs": "sharepath", "server": "nas.test:/share", **more})
    assert isinstance(found, params.SharepathParameters)
    return found


def test_a_volume_says_where_its_directory_is_and_what_it_is() -> None:
    volume = sharepath.Sharepaths().create(want(), shared())

    assert volume.volume_id == "share#pvc-1"
    assert sharepath.is_id(volume.volume_id)
    assert (volume.context["server"], volume.context["path"]) == ("nas.test", "/share")
    assert volume.capacity_bytes == GIB


def test_the_same_again_is_the_same_and_another_one_of_that_name_is_refused() -> None:
    volumes = sharepath.Sharepaths()
    first = volumes.create(want(), shared())

    assert volumes.create(want(), shared()) == first
    with pytest.raises(errors.Exists, match="pvc-1"):
        volumes.create(want(size=2 * GIB), shared())
    volumes.forget(first.volume_id)
    assert volumes.create(want(size=2 * GIB), shared()).capacity_bytes == 2 * GIB


def test_a_long_name_fits_into_an_id_and_stays_its_own() -> None:
    names = ["n" * 128, "n" * 127 + "m", "ä" * 64]
    ids = [sharepath.describe(want(name), shared()).volume_id for name in names]

    assert all(len(each.encode()) <= 128 for each in ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("text", ["", "pvc-1", "share", "share#", "nfs#a#/b#c"])
def test_other_ids_are_not_shared_directories(text: str) -> None:
    assert not sharepath.is_id(text)


def test_nothing_of_the_request_but_its_name_and_class_matters() -> None:
    zonal = dataclasses.replace(want(), zone_ids=("a", "b"))
    assert sharepath.describe(zonal, shared()) == sharepath.describe(want(), shared())
