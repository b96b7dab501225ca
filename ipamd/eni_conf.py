"""The `eni_conf` file: the settings Terway users have, read with every fault reported at once.

Source of keys and defaults: spec/terway.md 1.6; the keys that are ours are marked in
docs/reference/ipamd.md. A key nobody knows is a warning, not a fault: files outlive versions.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from core import durations

DynamicConf = Mapping[str, Any]

SECRETS = ("access_key", "access_secret")
_SECURITY_GROUPS_MAX = 10
_LONGEST = "8760h"
"""A year: for who means never. What is longer is a slip of the finger."""

OTHER_MODES: Mapping[str, tuple[Any, ...]] = {
    "ipam_type": ("",),
    "ip_stack": ("", "ipv4"),
    "enable_eni_trunking": (False,),
    "enable_erdma": (False,),
    "enable_ip_prefix": (False,),
    "ipv4_prefix_count": (0,),
    "ipv6_prefix_count": (0,),
}
"""Keys that choose a mode this version does not have, with the values that mean unset."""

WITHOUT_EFFECT = frozenset(
    {
        "version",
        "region_id",
        "prefix",
        "extra_routes",
        "eni_tag_block_list",
        "ip_warm_up_size",
        "backoff_override",
        "rate_limit",
        "disable_device_plugin",
        "kube_client_qps",
        "kube_client_burst",
        "enable_eip_pool",
        "allow_eip_rob",
        "enable_eip_migrate",
        "eni_cap_policy",
        "wait_trunk_eni",
        "disable_security_group_check",
        "hot_plug",
    }
)
"""Keys of Terway that change nothing here: of other modes, of its removed parts, or for its client
side limiter, which our adaptive one replaces."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EniConf:
    """Effective settings.

    vswitches: by zone. max_pool_size, min_pool_size: free addresses. warm_ip_target,
    warm_eni_target, minimum_ip_target: the AWS VPC CNI's, None or 0 = off.
    ip_pool_sync_period_s: how often the pool may shrink. ip_cooldown_period_s: rest of a released
    address. custom_stateful_workload_kinds: kinds of owners whose pods keep their addresses, as
    those of StatefulSets do. enable_patch_pod_ips: whether pods are annotated with their addresses.
    vswitch_selection_policy: ordered (most free addresses first, as in
    Terway) | random.
    """

    access_key: str = dataclasses.field(default="", repr=False)
    access_secret: str = dataclasses.field(default="", repr=False)
    credential_path: str = ""
    service_cidr: str = ""
    vswitches: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    vswitch_selection_policy: Literal["random", "ordered"] = "random"
    eni_selection_policy: Literal["most_ips", "least_ips"] = "most_ips"
    security_groups: tuple[str, ...] = ()
    eni_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    eni_tag_filter: Mapping[str, str] = dataclasses.field(default_factory=dict)
    resource_group_id: str = ""
    max_pool_size: int = 0
    min_pool_size: int = 0
    min_eni: int = 0
    max_eni: int = 0
    eni_cap_ratio: float = 1.0
    eni_cap_shift: int = 0
    ip_pool_sync_period_s: float = 120.0
    idle_ip_reclaim_after_s: float | None = None
    idle_ip_reclaim_interval_s: float = 600.0
    idle_ip_reclaim_batch_size: int = 5
    idle_ip_reclaim_jitter_factor: float = 0.1
    warm_ip_target: int | None = None
    warm_eni_target: int | None = None
    minimum_ip_target: int = 0
    ip_cooldown_period_s: float = 30.0
    custom_stateful_workload_kinds: tuple[str, ...] = ()
    enable_patch_pod_ips: bool = True


class Faults:
    """Collects what is wrong with a file: `faults` stop the program, `warnings` are told."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []

    def add(self, key: str, value: object, allowed: str) -> None:
        """A value that is not allowed; secrets are not shown."""
        shown = "***" if key in SECRETS else json.dumps(value)
        self.faults.append(f"eni_conf: {key}: {shown} is not allowed; allowed: {allowed}")


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """*patch* over *base* as JSON merge patch: null deletes. Source: RFC 7396."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def load(text: str, where: str, faults: Faults) -> dict[str, Any]:
    """The JSON object in *text*; {} and a fault when it is none."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as e:
        faults.faults.append(f"{where}: is not JSON: {e}")
        return {}
    if not isinstance(plain, dict):
        faults.faults.append(f"{where}: must be a JSON object")
        return {}
    return plain


def parse(plain: Mapping[str, Any], faults: Faults) -> EniConf:
    """Effective settings; what is wrong is left in *faults* and has its default in the result."""
    read = _Reader(plain, faults)
    conf = EniConf(
        access_key=read.text("access_key"),
        access_secret=read.text("access_secret"),
        credential_path=read.text("credential_path"),
        service_cidr=read.text("service_cidr"),
        vswitches=read.vswitches(),
        vswitch_selection_policy=read.choice("vswitch_selection_policy", "random", "ordered"),
        eni_selection_policy=read.choice("eni_selection_policy", "most_ips", "least_ips"),
        security_groups=read.security_groups(),
        eni_tags=read.texts_by_key("eni_tags"),
        eni_tag_filter=read.texts_by_key("eni_tag_filter"),
        resource_group_id=read.text("resource_group_id"),
        max_pool_size=read.number("max_pool_size", 0),
        min_pool_size=read.number("min_pool_size", 0),
        min_eni=read.number("min_eni", 0),
        max_eni=read.number("max_eni", 0),
        eni_cap_ratio=read.ratio("eni_cap_ratio", 1.0),
        eni_cap_shift=read.number("eni_cap_shift", 0, minimum=-100),
        ip_pool_sync_period_s=read.duration("ip_pool_sync_period", 120.0, at_least="1s"),
        idle_ip_reclaim_after_s=read.maybe("idle_ip_reclaim_after", read.duration),
        idle_ip_reclaim_interval_s=read.duration("idle_ip_reclaim_interval", 600.0),
        idle_ip_reclaim_batch_size=read.number("idle_ip_reclaim_batch_size", 5, minimum=1),
        idle_ip_reclaim_jitter_factor=read.jitter("idle_ip_reclaim_jitter_factor", 0.1),
        warm_ip_target=read.maybe("warm_ip_target", read.number),
        warm_eni_target=read.maybe("warm_eni_target", read.number),
        minimum_ip_target=read.number("minimum_ip_target", 0),
        ip_cooldown_period_s=read.duration("ip_cooldown_period", 30.0, at_most="24h"),
        custom_stateful_workload_kinds=read.texts("custom_stateful_workload_kinds"),
        enable_patch_pod_ips=read.switch("enable_patch_pod_ips", default=True),
    )
    if bool(conf.access_key) != bool(conf.access_secret):
        faults.faults.append("eni_conf: access_key and access_secret must be given together")
    if conf.warm_ip_target is not None and conf.warm_eni_target is not None:
        faults.faults.append("eni_conf: warm_ip_target and warm_eni_target exclude each other")
    read.finish()
    return conf


def shown(plain: Mapping[str, Any]) -> dict[str, Any]:
    """*plain* without its secrets, for `--print-settings`."""
    return {k: "***" if k in SECRETS and v else v for k, v in plain.items()}


class _Reader:
    """Reads typed values by key and remembers which keys it knows."""

    def __init__(self, plain: Mapping[str, Any], faults: Faults) -> None:
        self._plain = plain
        self._faults = faults
        self._known = {"security_group"}

    def text(self, key: str) -> str:
        value = self._get(key, "")
        if isinstance(value, str):
            return value.strip()
        self._faults.add(key, value, "a text")
        return ""

    def choice(self, key: str, *allowed: Any) -> Any:
        value = self._get(key, allowed[0])
        if isinstance(value, str) and value.lower() in allowed:
            return value.lower()
        if value != "":
            self._faults.add(key, value, " or ".join(allowed))
        return allowed[0]

    def number(self, key: str, default: int = 0, *, minimum: int = 0) -> int:
        value = self._get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
            return value
        self._faults.add(key, value, f"a whole number from {minimum}")
        return default

    def switch(self, key: str, *, default: bool) -> bool:
        value = self._get(key, default)
        if isinstance(value, bool):
            return value
        self._faults.add(key, value, "true or false")
        return default

    def ratio(self, key: str, default: float) -> float:
        value = self._get(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
            return float(value)
        self._faults.add(key, value, "a number above 0 and at most 1")
        return default

    def jitter(self, key: str, default: float) -> float:
        """A number from 0 to 1; Terway writes it as a text."""
        value = self._get(key, default)
        try:
            number = float(value) if isinstance(value, str | int | float) else -1.0
        except ValueError:
            number = -1.0
        if 0 <= number <= 1 and not isinstance(value, bool):
            return number
        self._faults.add(key, value, "a number from 0 to 1")
        return default

    def duration(
        self, key: str, default: float = 0.0, *, at_least: str = "0s", at_most: str = _LONGEST
    ) -> float:
        value = self._get(key, None)
        if value is None or value == "":
            return default
        try:
            found_s = durations.parse_s(value if isinstance(value, str) else "")
        except ValueError:
            found_s = -1.0
        if durations.parse_s(at_least) <= found_s <= durations.parse_s(at_most):
            return found_s
        allowed = f"a duration such as 120s or 10m, from {at_least} to {at_most}"
        self._faults.add(key, value, allowed)
        return default

    def maybe(self, key: str, read: Callable[[str], Any]) -> Any:
        """What *read* reads, None when the key is not there or null."""
        return None if self._get(key, None) is None else read(key)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key, [])
        if _is_texts(value):
            return tuple(value)
        self._faults.add(key, value, "a list of texts")
        return ()

    def texts_by_key(self, key: str) -> Mapping[str, str]:
        value = self._get(key, {})
        if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
            return value
        self._faults.add(key, value, "an object of texts")
        return {}

    def vswitches(self) -> Mapping[str, tuple[str, ...]]:
        value = self._get("vswitches", {})
        if isinstance(value, dict) and all(_is_texts(ids) for ids in value.values()):
            return {zone: tuple(ids) for zone, ids in value.items()}
        self._faults.add("vswitches", value, 'an object such as {"cn-hangzhou-i": ["vsw-…"]}')
        return {}

    def security_groups(self) -> tuple[str, ...]:
        """The union of `security_group` and `security_groups`, sorted. Source: spec 5.7."""
        one = self._get("security_group", "")
        many = self._get("security_groups", [])
        if not isinstance(one, str):
            self._faults.add("security_group", one, "a text")
            one = ""
        if not _is_texts(many):
            self._faults.add("security_groups", many, "a list of texts")
            many = []
        groups = tuple(sorted({*many, one} - {""}))
        if len(groups) > _SECURITY_GROUPS_MAX:
            self._faults.add("security_groups", groups, f"at most {_SECURITY_GROUPS_MAX}")
        for group in groups:
            if not re.fullmatch(r"sg-[a-zA-Z0-9]+", group):
                self._faults.add("security_groups", group, "ids such as sg-…")
        return groups

    def finish(self) -> None:
        """Judge the keys nobody asked for."""
        for key, allowed in OTHER_MODES.items():
            value = self._plain.get(key)
            if value is not None and value not in allowed:
                same = " or ".join(json.dumps(each) for each in allowed)
                self._faults.add(key, value, f"{same}; other modes are not in this version")
        for key in sorted(self._plain.keys() - self._known - OTHER_MODES.keys()):
            why = "has no effect here" if key in WITHOUT_EFFECT else "is not a known key"
            self._faults.warnings.append(f"eni_conf: {key} {why}")

    def _get(self, key: str, default: Any) -> Any:
        self._known.add(key)
        value = self._plain.get(key)
        return default if value is None else value


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)
