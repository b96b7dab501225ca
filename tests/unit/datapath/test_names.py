"""Names of links: those a stock Terway would choose."""

import pytest

from ipamd.datapath import names


@pytest.mark.parametrize(
    ("ifname", "expected"), [("eth0", "cali0d7763386da"), ("eth1", "cali3a5a323e811")]
)
def test_name_is_the_one_of_the_specification(ifname, expected):
    assert names.host_ifname("default", "web-0", ifname) == expected


def test_further_names_are_others():
    found = {names.host_ifname("default", "web-0", "eth0", number=n) for n in range(8)}

    assert len(found) == 8
    assert "cali0d7763386da" in found


def test_name_fits_the_kernel():
    assert len(names.host_ifname("n" * 63, "p" * 253, "eth0")) == 15
