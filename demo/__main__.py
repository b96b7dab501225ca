"""Runs the demo: starts the local cloud and the driver, and takes one volume through its life."""

import os
import signal
import sys

import grpc

from demo import life, story
from tests.support import processes


def main() -> int:
    """Run; whatever happens, clean up. Exit status: 0 all promises kept, 1 not, 130 interrupted."""
    if os.geteuid() != 0:
        story.fail("needs root, since it makes block devices and mounts: run `sudo make demo`")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("Starting a local Alibaba Cloud and the CSI driver …", flush=True)
    rig = processes.Rig(time_scale=1.0)
    try:
        elapsed_s = _tell(rig)
    except KeyboardInterrupt:
        story.fail("interrupted; cleaning up")
        return 130
    except grpc.RpcError as e:
        story.fail(f"{e.code().name}: {e.details()}\nThe end of the driver's log:\n{_logs(rig)}")
        return 1
    except (life.Failed, RuntimeError, OSError) as e:
        story.fail(f"{e}\nThe end of the driver's log:\n{_logs(rig)}")
        return 1
    finally:
        rig.close()
    left = [*rig.mounts(), *rig.loop_devices(), *([str(rig.dir)] if rig.dir.exists() else [])]
    if left:
        story.fail(f"left behind after the end: {', '.join(left)}")
        return 1
    print(
        f"\nAll of it worked, in {elapsed_s:.1f} s. Cloud and driver are stopped; no process, "
        "mount, block device or file is left behind."
    )
    return 0


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
