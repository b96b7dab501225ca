"""A namespace for one test, and what people do in it; afterwards nothing of it may be left."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.cluster import cluster, kubectl, traces

READY_S = 90.0
GONE_S = 90.0
DISK_CLASS = "alicloud-disk-topology-alltype"
_KINDS = ("deployments,statefulsets,pods", "volumesnapshots,persistentvolumeclaims")
SLEEP = ("/bin/sleep", "2000000000")


class Tenant:
    """`kubectl` in a namespace of its own. name: of the namespace."""

    def __init__(self, of: cluster.Cluster) -> None:
        self.cluster = of
        self.name = f"t-{uuid.uuid4().hex[:8]}"
        self._kubectl = of.kubectl
        self._gone_s = GONE_S * of.patience
        self._kubectl("create", "namespace", self.name)
        self.wait("serviceaccount", "default", "create")

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """What kubectl prints, in this namespace."""
        return self._kubectl("-n", self.name, *words, stdin=stdin)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Create or change objects of this namespace."""
        self._kubectl.apply(
            *({**one, "metadata": {**one["metadata"], "namespace": self.name}} for one in objects)
        )

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self._kubectl.get(kind, name, self.name)

    def delete(self, kind: str, name: str) -> None:
        """Delete and wait until it is gone."""
        self.kubectl("delete", kind, name, "--wait=true", f"--timeout={self._gone_s:.0f}s")

    def wait(self, kind: str, name: str, condition: str, limit_s: float = READY_S) -> None:
        """`kubectl wait --for=condition`. Raises Refused with the events of the namespace."""
        limit_s *= self.cluster.patience
        try:
            self._kubectl.wait(kind, name, condition, namespace=self.name, limit_s=limit_s)
        except kubectl.Refused as refused:
            events = self.kubectl("get", "events", "--sort-by=.lastTimestamp")
            raise kubectl.Refused(f"{refused}\n{events}") from refused

    # -- pods

    def run(self, name: str, command: Sequence[str] = SLEEP, **spec: Any) -> dict[str, Any]:
        """A pod that is ready, as the API server has it. spec: as in `kubectl.pod`."""
        self.apply(kubectl.pod(name, command, **spec))
        self.wait("pod", name, "condition=Ready")
        return self.get("pod", name)

    def shell(self, pod: str, script: str) -> str:
        """What a script prints in the pod's container. Raises Refused when it fails."""
        return self.execute(pod, "/bin/sh", "-ec", script)

    def size_bytes(self, pod: str) -> int:
        """Of the file system at /data."""
        return int(self.shell(pod, "df -kP /data").splitlines()[-1].split()[1]) * 1024

    def execute(self, pod: str, *command: str) -> str:
        """What a command prints in the pod's container. Raises Refused when it fails."""
        return self.kubectl("exec", pod, "--", *command)

    # -- volumes

    def claim(
        self,
        name: str,
        size: str = "20Gi",
        *,
        storage_class: str = DISK_CLASS,
        source: Mapping[str, str] | None = None,
        mode: str = "Filesystem",
        access: str = "ReadWriteOnce",
    ) -> None:
        """A claim. source: what its volume starts with, as `dataSource` says it."""
        spec: dict[str, Any] = {
            "accessModes": [access],
            "storageClassName": storage_class,
            "volumeMode": mode,
            "resources": {"requests": {"storage": size}},
        }
        if source is not None:
            spec["dataSource"] = dict(source)
        metadata = {"name": name}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": spec,
            }
        )

    def user_of(
        self, claim: str, pod: str, *, node: str = "", command: Sequence[str] = SLEEP
    ) -> dict[str, Any]:
        """A ready pod that has the claim's file system at /data. node: "" = any."""
        spec: dict[str, Any] = {"volumes": [_volume(claim)]}
        if node:
            # Not nodeName: that would leave out the scheduler, which binds the volume.
            spec["nodeSelector"] = {"kubernetes.io/hostname": node}
        mount = {"name": "data", "mountPath": "/data"}
        return self.run(pod, command, container={"volumeMounts": [mount]}, **spec)

    def start_user_of(
        self, claim: str, pod: str, *, node: str, at: str = "/data", **spec: Any
    ) -> None:
        """Ask for a pod with the claim, and do not wait for it.

        at: below /dev, the claim is a raw device; else where its file system is.
        """
        spec["volumes"] = [_volume(claim)]
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
        place = (
            {"volumeDevices": [{"name": "data", "devicePath": at}]}
            if at.startswith("/dev/")
            else {"volumeMounts": [{"name": "data", "mountPath": at}]}
        )
        self.apply(kubectl.pod(pod, SLEEP, container=place, **spec))

    def disk_of(self, claim: str) -> str:
        """Id of the disk that the claim is bound to."""
        return str(self.volume_of(claim)["spec"]["csi"]["volumeHandle"])

    def volume_of(self, claim: str) -> dict[str, Any]:
        """The PersistentVolume that the claim is bound to."""
        return self._kubectl.get("pv", str(self.get("pvc", claim)["spec"]["volumeName"]))

    # -- the end

    def close(self) -> list[str]:
        """Delete everything. Returns what is left of it, here and in the cloud: nothing."""
        limit = ("--wait=true", f"--timeout={self._gone_s:.0f}s")
        # What is left to the namespace's own end is retried after seconds, and it is slow to end.
        for kinds in _KINDS:
            self.kubectl("delete", kinds, "--all", *limit)
        self._kubectl("delete", "namespace", self.name, "--wait=false")
        try:
            kubectl.wait_until("nothing is left", lambda: not self._left(), self._gone_s)
        except TimeoutError:
            left = self._left()
            # Not the next test's fault.
            self._kubectl("delete", "persistentvolumes", "--all", "--wait=false")
            return left
        return []

    def _left(self) -> list[str]:
        """What tests make outside of namespaces; tests run one after the other."""
        kinds = ("persistentvolumes", "volumeattachments", "volumesnapshotcontents")
        found = [f"{kind} {row['metadata']['name']}" for kind in kinds for row in self._rows(kind)]
        cloud = self.cluster.control
        found += [*cloud.data_disks(), *cloud.snapshots()]
        return found or traces.of_pods(self.cluster)

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        return self._kubectl.list(kind)


def _volume(claim: str) -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
