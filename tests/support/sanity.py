"""Runs the csi-sanity binary and reads its report."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from tests.support import processes

DISK_PARAMETERS = {"type": "cloud_essd"}
DISK_MUTABLE_PARAMETERS = {"performanceLevel": "PL1"}
SECRET_VALUE = "hunter2-must-never-be-logged"
_SECRET_CALLS = (
    "CreateVolume",
    "DeleteVolume",
    "ControllerPublishVolume",
    "ControllerUnpublishVolume",
    "ControllerValidateVolumeCapabilities",
    "NodeStageVolume",
    "NodePublishVolume",
    "CreateSnapshot",
    "DeleteSnapshot",
    "ControllerExpandVolume",
    "ControllerModifyVolume",
    "ListSnapshots",
    "GetSnapshot",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Full names of specs by outcome."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    pending: tuple[str, ...]
    output: str


def binary() -> str:
    """The pinned csi-sanity of `make setup`, or CSI_SANITY, or the one on PATH."""
    pinned = processes.ROOT / ".tools/bin/csi-sanity"
    found = os.environ.get("CSI_SANITY") or (str(pinned) if pinned.exists() else None)
    found = found or shutil.which("csi-sanity")
    if found is None:
        raise RuntimeError("csi-sanity is not there; run `make setup`")
    return found


def run(
    work: pathlib.Path,
    endpoint: pathlib.Path,
    *,
    access_type: str,
    seed: int,
    controller_endpoint: pathlib.Path | None = None,
    parameters: Mapping[str, str] = DISK_PARAMETERS,
    mutable_parameters: Mapping[str, str] = DISK_MUTABLE_PARAMETERS,
    prefix: Sequence[str] = (),
    size_gib: float = 20,
) -> Report:
    """One run. *work* must be below the driver's kubelet directory; it is emptied before.

    prefix: words before the command, such as those that enter a machine of the lab.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    secrets = "".join(f"{c}Secret:\n  password: {SECRET_VALUE}\n" for c in _SECRET_CALLS)
    (work / "secrets.yaml").write_text(secrets)
    (work / "params.yaml").write_text(json.dumps(dict(parameters)))
    (work / "mutable.yaml").write_text(json.dumps(dict(mutable_parameters)))
    argv = [
        *prefix,
        binary(),
        f"-csi.endpoint=unix://{endpoint}",
        f"-csi.mountdir={work}/mount",
        f"-csi.stagingdir={work}/staging",
        f"-csi.testvolumesize={int(size_gib * (1 << 30))}",
        f"-csi.testvolumeexpandsize={int(2 * size_gib * (1 << 30))}",
        f"-csi.testvolumeparameters={work}/params.yaml",
        f"-csi.testvolumemutableparameters={work}/mutable.yaml",
        f"-csi.secrets={work}/secrets.yaml",
        "-csi.testnodevolumeattachlimit",
        f"-csi.testvolumeaccesstype={access_type}",
        "-ginkgo.no-color",
        "-ginkgo.randomize-all",
        f"-ginkgo.seed={seed}",
        "-ginkgo.timeout=10m",
        f"-ginkgo.json-report={work}/report.json",
    ]
    if controller_endpoint is not None:
        argv.append(f"-csi.controllerendpoint=unix://{controller_endpoint}")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=work)
    return _read(work / "report.json", done.stdout + done.stderr)


def _read(report: pathlib.Path, output: str) -> Report:
    if not report.exists():
        raise RuntimeError(f"csi-sanity made no report:\n{output[-3000:]}")
    by_state: dict[str, list[str]] = {}
    for suite in json.loads(report.read_text()):
        for spec in suite["SpecReports"] or []:
            if spec["LeafNodeType"] != "It":
                continue
            name = " ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]])
            by_state.setdefault(spec["State"], []).append(name)
    good = {"passed", "skipped", "pending"}
    return Report(
        passed=tuple(by_state.get("passed", ())),
        failed=tuple(n for state, names in by_state.items() if state not in good for n in names),
        skipped=tuple(sorted(by_state.get("skipped", ()))),
        pending=tuple(by_state.get("pending", ())),
        output=output,
    )
