"""Volumes of CPFS 1.0, as old PersistentVolumes write them."""

import pytest

from core import errors
from csi.cpfs import lustre

SERVER = "cpfs-0a-x.cn-shenzhen.cpfs.nas.aliyuncs.com@tcp:cpfs-0a-y.cn-shenzhen.cpfs.example@tcp"
OLD = {"server": SERVER, "fileSystem": "0237ef41"}


def test_an_old_volume_is_one_source_and_its_access() -> None:
    plain = lustre.parse(OLD, (), read_only=False)
    deep = lustre.parse(
        {**OLD, "subPath": "a/b/", "options": "ro,flock"}, ["noatime"], read_only=False
    )

    assert plain.source == f"{SERVER}:/0237ef41"
    assert plain.options == ("rw",)
    assert plain.server == "cpfs-0a-x.cn-shenzhen.cpfs.nas.aliyuncs.com"
    assert deep.source == f"{SERVER}:/0237ef41/a/b"
    assert deep.options == ("ro", "flock", "noatime")
    assert lustre.parse(OLD, ("rw",), read_only=True).options == ("ro",)


def test_every_option_that_the_refusal_offers_is_taken() -> None:
    with pytest.raises(errors.InvalidField) as caught:
        lustre.parse({**OLD, "options": "other"}, (), read_only=False)
    offered = str(caught.value).partition("allowed: ")[2].split(", ")

    told = lustre.parse({**OLD, "options": ",".join(offered)}, (), read_only=False)

    assert "32bitapi" in offered
    assert set(told.options) == {*offered, "ro"} - {"rw"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"server": ""}, "server"),
        ({"server": "host"}, "server"),
        ({"server": "a@tcp,b@tcp"}, "server"),
        ({"server": "-o@tcp"}, "server"),
        ({"fileSystem": "a/b"}, "fileSystem"),
        ({"subPath": "../x"}, "subPath"),
        ({"subPath": "/a b"}, "subPath"),
        ({"options": "context=x"}, "context=x"),
        ({"options": "flock,bind"}, "bind"),
    ],
)
def test_what_is_wrong_with_it_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(errors.InvalidField, match=named):
        lustre.parse({**OLD, **change}, (), read_only=False)
