"""The command: `python -m tests.support.cluster up`."""

import argparse
import pathlib
import sys
import tempfile

from tests.support.cluster import cluster

DEFAULT_DIR = pathlib.Path(tempfile.gettempdir()) / "alibaba-cloud-k8s-cluster"
_DESCRIPTION = """A Kubernetes cluster on this machine, with our plug-ins on a simulated cloud.

  up      build what is missing (minutes, once per user), start what does not run, wait until
          the nodes are ready. May be repeated, also after it was interrupted.
  status  every process and node; exit status 1 when something is not well
  down    end and remove everything, however far `up` came

A control plane (etcd, API server, controller manager, scheduler) and two nodes (containerd,
kubelet). Each is an instance of the simulated cloud, with its own network, mounts, processes and
host name. Only the cloud listens on this machine's network, on loopback. Root is needed.
"""
_EPILOG = """After `up`:
  STATE_DIR/kubectl get pods -A        kubectl as administrator
  STATE_DIR/logs/                      what every process says
  STATE_DIR/audit.log                  every request to the API server

Exit status: 0 done; 1 something failed or is not well; 2 wrong usage.
Documentation: docs/guides/run-a-cluster.md
"""


def main() -> int:
    """Run the command; returns its exit status."""
    asked = _parse()
    made = cluster.Cluster(asked.state_dir, network=asked.network, say=_say)
    try:
        if asked.what == "up":
            made.up()
        elif asked.what == "down":
            made.down()
        else:
            return _status(made)
    except (RuntimeError, TimeoutError) as fault:
        print(f"cluster: {fault}", file=sys.stderr)
        return 1
    return 0


def _status(made: cluster.Cluster) -> int:
    rows = made.status()
    if not rows:
        _say(f"no cluster in {made.where.state_dir}")
        return 1
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{'ok ' if row.well else 'BAD'}  {row.name:<{width}}  {row.detail}")
    return 0 if all(row.well for row in rows) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cluster",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("up", "status", "down"))
    parser.add_argument(
        "--state-dir",
        type=pathlib.Path,
        default=DEFAULT_DIR,
        metavar="DIR",
        help="where everything of the cluster is; several clusters are several directories "
        "(%(default)s)",
    )
    parser.add_argument(
        "--network",
        choices=cluster.NETWORKS,
        default="",
        help="terway: our CNI plug-in and ipamd, pods have addresses of the VPC (the default); "
        "ptp: the reference plug-ins ptp and host-local, for comparison",
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"cluster: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
