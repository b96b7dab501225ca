"""Runs the demo: one volume through its life, then pods on a simulated VPC."""

import argparse
import os
import signal
import sys
from collections.abc import Callable

import grpc

from demo import life, pods, story
from tests.support import network_rig, processes


def main() -> int:
    """Run; whatever happens, clean up. Exit status: 0 all promises kept, 1 not, 130 interrupted."""
    argparse.ArgumentParser(
        prog="demo",
        description="Takes a volume through its life on a local Alibaba Cloud, then starts pods on "
        "a simulated VPC, and tells each step. Half a minute; needs root; leaves nothing behind.",
        epilog="exit status: 0 all worked and nothing is left, 1 not, 130 interrupted",
    ).parse_args()
    if os.geteuid() != 0:
        story.fail("needs root, since it makes devices, mounts and namespaces: `sudo make demo`")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell in the background ignores the latter
        signal.signal(number, signal.default_int_handler)
    status, volumes_s = _volumes()
    if status:
        return status
    status, pods_s = _pods()
    if status:
        return status
    print(
        f"\nAll of it worked, in {volumes_s + pods_s:.1f} s. Everything is stopped; no process, "
        "mount, block device, namespace or file is left behind."
    )
    return 0


def _volumes() -> tuple[int, float]:
    """The first half: a volume. Exit status and seconds."""
    print("Starting a local Alibaba Cloud and the CSI driver …", flush=True)
    rig = processes.Rig(hardware="disks", time_scale=1.0)
    status, elapsed_s = _guarded(lambda: _tell(rig), lambda: _logs(rig), rig.close)
    left = [*rig.mounts(), *rig.loop_devices(), *([str(rig.dir)] if rig.dir.exists() else [])]
    if left and not status:
        story.fail(f"left behind after the end: {', '.join(left)}")
        return 1, elapsed_s
    return status, elapsed_s


def _pods() -> tuple[int, float]:
    """The second half: pods on the network. Exit status and seconds."""
    print("\nStarting a simulated VPC with two nodes …", flush=True)
    rig = network_rig.NetworkRig(time_scale=1.0)
    status, elapsed_s = _guarded(lambda: _tell_pods(rig), lambda: _node_logs(rig), rig.close)
    left = [*rig.namespaces(), *([str(rig.dir)] if rig.dir.exists() else [])]
    if left and not status:
        story.fail(f"left behind after the end: {', '.join(left)}")
        return 1, elapsed_s
    return status, elapsed_s


def _guarded(
    tell: Callable[[], float], logs: Callable[[], str], close: Callable[[], None]
) -> tuple[int, float]:
    """Run one half; says what went wrong, and cleans up in any case."""
    try:
        return 0, tell()
    except KeyboardInterrupt:
        story.fail("interrupted; cleaning up")
        return 130, 0.0
    except grpc.RpcError as e:
        story.fail(f"{e.code().name}: {e.details()}\nThe end of the logs:\n{logs()}")
        return 1, 0.0
    except (life.Failed, RuntimeError, OSError) as e:
        story.fail(f"{e}\nThe end of the logs:\n{logs()}")
        return 1, 0.0
    finally:
        close()


def _tell_pods(rig: network_rig.NetworkRig) -> float:
    """The pods' half; how long it took, in seconds."""
    rig.install(pods.build(rig.dir / "built"))
    rig.start_sim()
    told = story.Story(rig)
    print(f"  cloud   http://127.0.0.1:{rig.port} (pid {rig.sim.pid})")
    print(f"  nodes   namespaces {rig.prefix}-node-1 and {rig.prefix}-node-2")
    print(f"  $RUN    {rig.dir}")
    pods.Pods(rig, told).run()
    return told.elapsed_s


def _node_logs(rig: network_rig.NetworkRig) -> str:
    return "\n".join(node.daemon.tail(8) for node in rig.nodes if node.daemon is not None)


def _tell(rig: processes.Rig) -> float:
    """The whole demo; how long it took, in seconds."""
    rig.start_sim()
    told = story.Story(rig)
    driver = rig.start_driver("csi")
    print(f"  cloud   http://127.0.0.1:{rig.port} (pid {rig.sim.pid})")
    print(f"  driver  unix://$RUN/run/csi.sock (pid {driver.pid}, {driver.rss_kib() >> 10} MiB)")
    print(f"  $RUN    {rig.dir}")
    life.Life(rig, driver, told).run()
    for process in (driver, rig.sim):
        if process.terminate() != 0:
            raise life.Failed(f"a process did not end cleanly:\n{process.tail()}")
    return told.elapsed_s


def _logs(rig: processes.Rig) -> str:
    return "\n".join(driver.tail(8) for driver in rig.drivers)


if __name__ == "__main__":
    sys.exit(main())
