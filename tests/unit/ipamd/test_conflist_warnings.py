"""What Terway's ConfigMap asks for and ipamd does not have is told when ipamd starts."""

import json
import pathlib

import pytest

from ipamd.cni import conflist

TERWAY = {"type": "terway"}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, []),
        ({"10-terway.conf": json.dumps({**TERWAY, "eniip_virtual_type": "veth"})}, []),
        (
            {"10-terway.conf": json.dumps({**TERWAY, "eniip_virtual_type": "IPVlan"})},
            ["eniip_virtual_type: 'IPVlan' has no effect"],
        ),
        (
            {"10-terway.conflist": json.dumps({"plugins": [TERWAY, {"type": "cilium-cni"}]})},
            ["cilium-cni is called after terway"],
        ),
        ({"disable_network_policy": "true"}, []),
        ({"disable_network_policy": "false\n"}, ["disable_network_policy: 'false' asks for"]),
        ({"disable_network_policy": ""}, ["disable_network_policy: '' asks for"]),
        ({"10-terway.conf": "{"}, []),
    ],
    ids=["nothing", "veth", "ipvlan", "cilium", "no policy", "policy", "policy unset", "broken"],
)
def test_it_is_told_once_each(
    tmp_path: pathlib.Path, files: dict[str, str], told: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    found = conflist.warnings(tmp_path)

    assert len(found) == len(told)
    assert all(text.startswith(begin) for text, begin in zip(found, told, strict=True))
