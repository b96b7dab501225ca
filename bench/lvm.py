"""The driver of node-local volumes: its calls beside LVM's own commands and mount(8).

Measured in the lab, by `bench.lvm_guest`; see CONTRIBUTING.md, "The lab".
"""

import subprocess
import sys

from bench import report
from tests.support import processes

LIMIT_S = 1500


def run() -> report.Report:
    """Measure everything; about ten minutes."""
    report.OUT.mkdir(parents=True, exist_ok=True)
    lab = [str(processes.ROOT / "tools/lab.py"), "--keep", str(report.OUT)]
    measure = ["run", sys.executable, "-m", "bench.lvm_guest"]
    subprocess.run([*lab, "--limit", str(LIMIT_S), *measure], check=True, cwd=processes.ROOT)
    return report.read("lvm")
