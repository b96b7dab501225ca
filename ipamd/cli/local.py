"""What `terway-cli` finds out by itself, without the daemon."""

import socket
from typing import Any

from cloud import imds as cloud_imds
from cloud import imds_network
from core import errors

ENDPOINT = cloud_imds.DEFAULT_ENDPOINT
_CONNECT_S = 2.0


class Unreadable(Exception):
    """Something does not answer; the message says what and what to do."""


def why_no_answer(path: str) -> str:
    """Why a connection to the socket at *path* fails, and what to do."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_CONNECT_S)
            connection.connect(path)
    except FileNotFoundError:
        return "there is no such socket; is ipamd running on this node?"
    except PermissionError:
        return "it is root's; run as root"
    except OSError as e:
        return f"{(e.strerror or str(e)).lower()}; has ipamd ended? Look at its log"
    return "it takes connections, but calls fail; look at its log"


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
