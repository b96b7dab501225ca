"""How it is found that an account may do more than it does, and that documents tell of it."""

import json
import pathlib
from typing import Any

from tests.support import chart, processes
from tests.support.cluster import audit

GUIDE = (processes.ROOT / "docs/guides/install-with-helm.md").read_text()
CLUSTER = {
    "csi": {"lvm": {"enabled": True, "loopDir": "/var/lib/csi-local/loop"}},
    "ipamd": {"enabled": True},
    "snapshots": {"groups": True},
}
"""As the tests' cluster has it: `tests.support.cluster.chart`."""


def request(verb: str, account: str, code: int = 200, **told: str) -> dict[str, Any]:
    return {
        "verb": verb,
        "user": {"username": f"system:serviceaccount:kube-system:{account}"},
        "objectRef": told,
        "responseStatus": {"code": code},
    }


def test_what_nobody_was_granted_is_unused(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "audit.log"
    rows = [
        request("get", "terway", resource="nodes"),
        request("patch", "terway", 403, resource="nodes"),
        request("patch", "terway", resource="nodes", subresource="status"),
        request("watch", "somebody-else", resource="pods"),
    ]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    found = audit.unused(log, chart.render(CLUSTER))

    of_nodes = [each for each in found if each.startswith("terway") and "nodes" in each]
    assert sorted(of_nodes) == [f"terway {verb} nodes" for verb in ("list", "patch", "watch")]
    assert "terway watch pods" in found


def test_a_refusal_is_found_behind_what_is_granted_to_other_names(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "audit.log"
    lease = {"apiGroup": "coordination.k8s.io", "resource": "leases", "namespace": "kube-system"}
    rows = [
        request("update", "terway", name="ours", **lease),
        request("update", "terway", 403, name="theirs", **lease),
        # An API server that has just started has not read its roles.
        request("get", "terway", 403, resource="pods", namespace="a", name="first"),
        request("get", "terway", resource="pods", namespace="a", name="second"),
    ]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    (told,) = audit.denied(log, ("terway",))

    assert told == "terway update coordination.k8s.io/leases//kube-system/theirs"


def test_the_guide_excuses_only_what_is_granted() -> None:
    granted = {
        f"{each.account} {each.verb} {each.resource}"
        for each in audit.granted(chart.render(CLUSTER))
    }
    known = audit.excused(GUIDE)

    assert known.never
    assert known.by_chance
    assert known.never | known.by_chance <= granted
    assert not known.never & known.by_chance


def test_both_kinds_of_differences_are_told() -> None:
    known = audit.Excused(never=frozenset({"a get x", "a get y"}), by_chance=frozenset({"a get z"}))

    assert audit.faults(["a get x", "a get y"], known) == []
    assert audit.faults(["a get x", "a get w"], known) == [
        "granted and never used: a get w",
        "used, and documented as unused: a get y",
    ]
