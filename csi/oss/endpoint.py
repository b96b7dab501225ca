"""Endpoints of OSS: how a URL is completed, and which region it is in. Pure.

Source: spec/csi-driver.md 5.2.
"""

import ipaddress
import re
import urllib.parse

from core import errors

_PUBLIC = re.compile(r"oss-(?P<region>[a-z0-9-]+)\.aliyuncs\.com")
_DATA_ACCELERATOR = re.compile(r"(?P<region>[a-z0-9-]+?)(-internal)?\.oss-data-acc(?P<rest>\..+)")
_INTERNAL = "-internal"
_ALIBABA = ".aliyuncs.com"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def normalise(url: str, *, bucket: str, over_vpc: bool) -> str:
    """*url* with a scheme, and inside the VPC where *over_vpc* says so.

    A private cloud's endpoint stays as it is. Raises InvalidField.
    """
    scheme, host, port = _split(url)
    if bucket and host.startswith(f"{bucket}."):
        raise errors.InvalidField(
            "url", "begins with the bucket", value=url, allowed="the endpoint without the bucket"
        )
    if over_vpc:
        host = _inside(host)
    if not scheme:
        scheme = "http" if host.endswith(f"{_INTERNAL}{_ALIBABA}") else "https"
    return f"{scheme}://{host}{port}"


def region_of(url: str) -> str:
    """Region an Alibaba endpoint is in; "" when its name does not tell."""
    host = host_of(url)
    public = _PUBLIC.fullmatch(host.removeprefix("s3."))
    if public:
        return public["region"].removesuffix(_INTERNAL)
    accelerator = _DATA_ACCELERATOR.fullmatch(host)
    return accelerator["region"] if accelerator else ""


def host_of(url: str) -> str:
    """Its host, without the port. *url* may lack its scheme."""
    return urllib.parse.urlsplit(url if "://" in url else f"//{url}").hostname or ""


def takes_virtual_hosts(url: str) -> bool:
    """Whether buckets are names below the endpoint, as everywhere at Alibaba."""
    host = host_of(url)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host != "localhost"
    return False


def _split(url: str) -> tuple[str, str, str]:
    """(scheme or "", host, ":port" or "")."""
    text = url.strip().rstrip("/")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    parts = urllib.parse.urlsplit(f"//{rest}")
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = "?"
    host = parts.hostname or ""
    odd = parts.path or parts.query or parts.fragment or "@" in rest or port == "?"
    if scheme not in ("", "http", "https") or not _HOST.fullmatch(host) or odd:
        raise errors.InvalidField(
            "url",
            "is not an endpoint",
            value=url,
            allowed="a host such as oss-cn-hangzhou.aliyuncs.com, with http:// or https:// or none",
        )
    return scheme, host, port


def _inside(host: str) -> str:
    public = _PUBLIC.fullmatch(host)
    if public and not public["region"].endswith(_INTERNAL):
        return f"oss-{public['region']}{_INTERNAL}{_ALIBABA}"
    accelerator = _DATA_ACCELERATOR.fullmatch(host)
    if accelerator and accelerator[2] is None:
        return f"{accelerator['region']}{_INTERNAL}.oss-data-acc{accelerator['rest']}"
    return host
