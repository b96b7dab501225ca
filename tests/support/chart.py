"""The Helm chart, rendered: what `helm template` prints, as objects."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import yaml

from tests.support import processes
from tests.support.cluster import cluster

CHART = processes.ROOT / "deploy/helm/alibaba-cloud-k8s"
NAMESPACE = "kube-system"
RELEASE = "under-test"
KUBERNETES = "1.34.3"
_HELM_S = 60.0
SIDECARS = ("csi-provisioner", "csi-attacher", "csi-resizer", "csi-snapshotter")
_WORKLOADS = ("Deployment", "DaemonSet")

Object = Mapping[str, Any]
Values = Mapping[str, Any]

EVERYTHING: Values = {
    "csi": {
        "cpfs": {"enabled": True, "legacy": True},
        "oss": {"secretRefs": ["key"]},
        "lvm": {
            "enabled": True,
            "legacy": True,
            "devices": ["/dev/vdb"],
            "groups": ["volumegroup1"],
            "loopDir": "/var/lib/csi-local/loop",
            "quotaPaths": ["/mnt/quota"],
            "mountPointDirs": ["/mnt/disks", "/mnt/more"],
            "disks": ["/dev/disk/by-id/virtio-*"],
        },
    },
    "ipamd": {"enabled": True},
    "snapshots": {"groups": True},
}
_OFF = {"enabled": False}
_ONLY_LVM = {
    "disk": _OFF,
    "nas": _OFF,
    "oss": _OFF,
    "lvm": {"enabled": True, "devices": ["/dev/vd*"]},
}
VARIANTS: Mapping[str, Values] = {
    "as it is": {},
    "everything": EVERYTHING,
    "an existing cluster's OSS": {"csi": {"oss": {"attachRequired": True}}},
    "access key": {
        **EVERYTHING,
        "cloud": {"credentials": {"accessKey": {"enabled": True}}, "regionId": "cn-hangzhou"},
    },
    "RRSA": {
        **EVERYTHING,
        "cloud": {
            "credentials": {
                "rrsa": {"enabled": True, "roleArn": "acs:ram::1:role/a", "oidcProviderArn": "b"}
            }
        },
    },
    "tokens of ACK": {**EVERYTHING, "cloud": {"credentials": {"addonToken": {"enabled": True}}}},
    "off ECS": {
        "cloud": {
            "metadataService": False,
            "regionId": "cn-beijing",
            "clusterId": "c1",
            "networkType": "vpc",
            "scheme": "http",
            "endpoints": dict.fromkeys(("ecs", "sts", "nas", "vpc", "oss"), "127.0.0.1:1"),
        },
        "ipamd": {"enabled": True},
    },
    "Lingjun": {"csi": {"cpfs": {"enabled": True}}, "node": {"lingjun": True}},
    "only LVM": {"csi": _ONLY_LVM, "snapshots": _OFF},
    "only ipamd": {
        "csi": {"disk": _OFF, "nas": _OFF, "oss": _OFF},
        "snapshots": _OFF,
        "ipamd": {"enabled": True},
    },
    "no controllers": {"controller": _OFF},
    "no nodes": {"node": _OFF},
    "every switch the other way": {
        "images": {"registry": "registry.example/", "pullSecrets": [{"name": "password"}]},
        "classes": {"privateCloud": True, "default": "alicloud-disk-essd"},
        "csi": {
            "featureGates": {"DiskParallelAttach": True},
            "disk": {"privateTopologyKey": True, "nodeAllocatableUpdatePeriodSeconds": 60},
            "nas": {"topology": True},
            "oss": {"rrsa": False, "provisionerSecrets": [{"namespace": "default", "name": "key"}]},
        },
        "controller": {"replicas": 1, "env": {"DISK_ATTACH_CONCURRENCY": "16"}},
        "node": {"cloudCredentials": False, "address": "127.0.0.1"},
        "mounter": {"updateStrategy": "RollingUpdate", "clients": ["s3fs"]},
        "ipamd": {"enabled": True, "keepCniConfig": False, "nodeConfigs": ["small-nodes"]},
        "logging": {"format": "text", "verbosity": 5},
    },
}
"""Choices an operator has, by what they are about."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of a rendered workload. initial: it ends before the others start."""

    workload: str
    initial: bool
    pod: Object
    plain: Object

    @property
    def name(self) -> str:
        told: str = self.plain["name"]
        return told

    @property
    def program(self) -> str:
        """What is run: the command's first word, or the image's name for those of others."""
        command: Sequence[str] = self.plain.get("command") or ()
        image: str = self.plain["image"]
        return command[0] if command else image.rsplit("/", 1)[-1].split(":", maxsplit=1)[0]

    @property
    def arguments(self) -> list[str]:
        return [str(each) for each in self.plain.get("args") or ()]

    @property
    def environment(self) -> dict[str, str]:
        """Names and texts; "" for what is told when the pod starts."""
        return {each["name"]: each.get("value", "") for each in self.plain.get("env") or ()}


class Refused(RuntimeError):
    """helm failed; the message is what it said."""


@functools.cache
def programs() -> pathlib.Path:
    """Directory of helm, kubectl and the sidecars; skips the test where they are not built."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    if not any((cache / "alibaba-cloud-k8s").glob("kubernetes-*/bin/helm")):
        pytest.skip("helm is not built; `make kubernetes` does it")
    return cluster.build_programs() / "bin"


def helm(*words: str) -> str:
    """What helm prints. Raises Refused."""
    done = subprocess.run(
        [str(programs() / "helm"), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=_HELM_S,
    )
    if done.returncode != 0:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def template(values: Values) -> str:
    """The chart as YAML. Raises Refused."""
    return _template(json.dumps(values))


@functools.cache
def _template(values: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as given:
        given.write(values)
        given.flush()
        words = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES, "--values", given.name)
        return helm("template", RELEASE, str(CHART), *words)


def render(values: Values) -> list[Object]:
    """The objects. Raises Refused."""
    return [each for each in yaml.load_all(template(values), yaml.CSafeLoader) if each is not None]


def containers(objects: Sequence[Object]) -> Iterator[Container]:
    """Every container of every workload."""
    for each in objects:
        if each["kind"] not in _WORKLOADS:
            continue
        pod = each["spec"]["template"]["spec"]
        for key in ("initContainers", "containers"):
            for plain in pod.get(key) or ():
                yield Container(
                    workload=each["metadata"]["name"],
                    initial=key == "initContainers",
                    pod=pod,
                    plain=plain,
                )


def of_kind(objects: Sequence[Object], *kinds: str) -> list[Object]:
    """Those of *kinds*."""
    return [each for each in objects if each["kind"] in kinds]


def one(objects: Sequence[Object], kind: str, name: str) -> Object:
    """The object of that kind and name."""
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found
