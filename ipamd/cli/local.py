"""What `terway-cli` finds out by itself, without the daemon."""

from typing import Any

from cloud import imds as cloud_imds
from cloud import imds_network
from core import errors

ENDPOINT = cloud_imds.DEFAULT_ENDPOINT


class Unreadable(Exception):
    """Something does not answer; the message says what and what to do."""


def interfaces(endpoint: str) -> list[dict[str, Any]]:
    """One row for each address of each interface that the metadata service lists."""
    imds = cloud_imds.Imds(endpoint)
    try:
        primary = imds_network.read_primary_mac(imds)
        found = [imds_network.read_interface(imds, mac) for mac in imds_network.read_macs(imds)]
    except errors.Error as e:
        raise Unreadable(str(e)) from e
    return [
        {
            "vswitch": told.vswitch_id,
            "eni": told.eni_id,
            "mac": told.mac,
            "primary": "yes" if told.mac == primary else "",
            "ip": str(ipv4),
        }
        for told in found
        if told is not None
        for ipv4 in told.ipv4
    ]
