"""Starts machines and components so that they outlive us and are found again."""

import os
import pathlib
import signal
import time
from collections.abc import Mapping

from tests.support import processes
from tests.support.cluster import components, layout, process_table

_INIT = pathlib.Path(__file__).parent / "machine_init.sh"
_SUPERVISE = _INIT.with_name("supervise.sh")
_STOP_S = 30.0
_POLL_S = 0.1
_KEPT = ("PATH", "HOME", "LANG")


class Launcher:
    """Knows the processes of one cluster. What runs already is never started again."""

    def __init__(self, where: layout.Layout) -> None:
        self._where = where
        # Their parent must keep them, or Python warns of children that nobody waits for.
        self._children: list[processes.Process] = []

    def table(self) -> list[process_table.Found]:
        """Every process of the cluster, now."""
        return process_table.of_cluster(self._where.state_dir)

    def find(self, component: components.Component) -> process_table.Found | None:
        """The process of *component*, if it runs."""
        return process_table.component(self.table(), component.name, component.argv)

    def ensure_machine(self, name: str) -> None:
        """Start a machine's first process in the network that the cloud made for it."""
        if process_table.machine(self.table(), _machine(name)) is not None:
            return
        home = self._where.home(name)
        home.mkdir(parents=True, exist_ok=True)
        argv = ["nsenter", f"--net={self._where.netns(name)}", "unshare"]
        argv += ["--mount", "--uts", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        argv += ["sh", str(_INIT), name, str(home), self._where.cgroup(name)]
        self._start(_machine(name), argv, {}, "machine ready", 30.0)

    def ensure(self, component: components.Component) -> bool:
        """Start *component* and wait until it serves; False when it ran already."""
        if self.find(component) is not None:
            return False
        supervisor = ["sh", str(_SUPERVISE)] if component.restarts else []
        argv = [*supervisor, *component.argv]
        if process_table.component(self.table(), component.name, argv) is not None:
            self._wait_restarted(component)
            return False
        argv = [*self.enter(component.machine), *argv]
        self._start(
            component.name, argv, component.environment, component.ready, component.ready_timeout_s
        )
        return True

    def _wait_restarted(self, component: components.Component) -> None:
        give_up_s = time.monotonic() + component.ready_timeout_s
        while self.find(component) is None:
            if time.monotonic() > give_up_s:
                raise RuntimeError(f"{component.name} is not started again")
            time.sleep(_POLL_S)

    def stop(
        self, component: components.Component, number: signal.Signals = signal.SIGTERM
    ) -> None:
        """End *component* with a signal; one that does not run is fine."""
        found = self.find(component)
        if found is not None:
            process_table.kill([found.pid], number, _STOP_S)

    def signal(self, component: components.Component, number: signal.Signals) -> None:
        """Send *component* a signal. Raises RuntimeError when it does not run."""
        found = self.find(component)
        if found is None:
            raise RuntimeError(f"{component.name} does not run")
        os.kill(found.pid, number)

    def kill_machine(self, name: str) -> None:
        """Kill a machine's first process: the kernel takes all others of it along."""
        table = self.table()
        first = process_table.machine(table, _machine(name))
        if first is None:
            return
        inside = [each.pid for each in table if _is_in(each.pid, first.pid)]
        process_table.kill([first.pid], signal.SIGKILL, _STOP_S)
        process_table.kill(inside, signal.SIGKILL, _STOP_S)

    def enter(self, machine: str) -> list[str]:
        """The words before a command that is to run in a machine; "" = this one.

        Raises RuntimeError when the machine does not run.
        """
        if not machine:
            return []
        first = process_table.machine(self.table(), _machine(machine))
        if first is None:
            raise RuntimeError(f"machine {machine} does not run")
        return ["nsenter", "-t", str(first.pid), "--mount", "--uts", "--pid", "--net", "--"]

    def end_machine(self, name: str) -> None:
        """Kill a machine and every component in it; one that does not run is fine."""
        first = process_table.machine(self.table(), _machine(name))
        if first is not None:
            process_table.kill([first.pid], signal.SIGKILL, _STOP_S)
        left = [each.pid for each in self.table() if each.component.startswith(f"{name}/")]
        process_table.kill(left, signal.SIGKILL, _STOP_S)

    def end_all(self) -> None:
        """Kill every process of the cluster, machines first: those take all that runs in them."""
        machines = [each.pid for each in self.table() if each.inner_pid == 1]
        process_table.kill(machines, signal.SIGKILL, _STOP_S)
        process_table.kill([each.pid for each in self.table()], signal.SIGKILL, _STOP_S)
        for child in self._children:
            child.wait_dead()
        self._children.clear()

    def _start(
        self, name: str, argv: list[str], environment: Mapping[str, str], ready: str, limit_s: float
    ) -> None:
        log = self._where.logs / f"{name.replace('/', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        marks = {
            process_table.MARK: str(self._where.state_dir),
            process_table.COMPONENT: name,
        }
        # setsid: the end of the terminal that `up` was typed in is not theirs.
        child = processes.Process(["setsid", *argv], log, {**kept, **environment, **marks})
        self._children.append(child)
        try:
            child.start(ready, limit_s)
        except RuntimeError as fault:
            raise RuntimeError(f"{name} does not start: {fault}") from fault


def _is_in(pid: int, first: int) -> bool:
    """Whether a process is in the PID namespace of another; False when one has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/ns/pid").samefile(f"/proc/{first}/ns/pid")
    except OSError:
        return False


def _machine(name: str) -> str:
    return f"{name}/machine"
