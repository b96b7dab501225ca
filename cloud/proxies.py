"""HTTP proxies for the SDK, which gets them wrong by itself.

It sends everything through `HTTP_PROXY` and `HTTPS_PROXY`, loopback too, and ignores `NO_PROXY`
(measured, spec/cloud-api.md 2.1). There is no setting to stop that, so the variables are taken out
of the environment, and each client is given its proxy, or none, as the variables say.
"""

import dataclasses
import ipaddress
import os
import threading
import urllib.request
from collections.abc import Mapping

_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Proxy URLs by scheme of the request; "" = straight to the host."""

    http: str = ""
    https: str = ""


class Proxies:
    """What the variables said. variables: as `urllib.request.getproxies_environment` gives them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    def for_host(self, endpoint: str) -> Proxy:
        """Proxies for *endpoint*, a host with an optional port."""
        if _is_loopback(endpoint) or urllib.request.proxy_bypass_environment(  # type: ignore[attr-defined]  # typeshed lacks it
            endpoint, self._variables
        ):
            return Proxy()
        return Proxy(
            http=self._variables.get("http", ""),
            https=self._variables.get("https", ""),
        )


_taken: Proxies | None = None
_lock = threading.Lock()


def take_over() -> Proxies:
    """The proxies of this process; its environment loses them at the first call.

    The one global state of `cloud`: the environment is global too.
    """
    global _taken  # noqa: PLW0603  # see above
    with _lock:
        present = [name for name in _NAMES if name in os.environ]
        if _taken is None or present:
            _taken = Proxies(urllib.request.getproxies_environment())
        for name in present:
            del os.environ[name]
        return _taken


def _is_loopback(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0] if endpoint.count(":") == 1 else endpoint
    host = host.partition("]")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
