"""The cloud that actions work on: store, clock, world, hardware, and the settings of a run.

Not here: HTTP, signatures, or the rules of any product.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim import clock as clock_module
from sim import consistency, ids, store, world_changes
from sim import world as world_module
from sim.hardware import api as hardware_api
from sim.hardware import files_api, network_api

_SETTING = "setting"


class Cloud:
    """One simulated account in one region.

    world: the declared world with the changes made at run time. view: the store as Describe
    actions see it; metadata_view: as the metadata service does. hardware: None when disks are only
    records; network: None when interfaces are; files: None when directories are.
    time_scale: multiplies every latency; 0.1 makes the cloud ten times quicker.
    """

    def __init__(
        self,
        *,
        state_dir: pathlib.Path,
        world: world_module.World,
        hardware: hardware_api.Hardware | None = None,
        network: network_api.Network | None = None,
        files: files_api.Files | None = None,
        time_scale: float = 1.0,
        settlers: Sequence[Callable[["Cloud", float], float | None]] = (),
        seeders: Sequence[Callable[["Cloud"], None]] = (),
    ) -> None:
        self.state_dir = state_dir
        self.clock = clock_module.Clock()
        self.view = consistency.View(self.clock.now_s)
        self.metadata_view = consistency.View(self.clock.now_s)
        self.store = store.Store(state_dir, on_commit=self._record)
        self.view.bind(self.store)
        self.metadata_view.bind(self.store)
        self.ids = ids.Ids()
        self.hardware = hardware
        self.network = network
        self.files = files
        self.world = world
        self._declared = world
        self._time_scale = time_scale
        self._settlers = tuple(settlers)
        self._seeders = tuple(seeders)
        self._settled_generation = -1
        self._next_due_s: float | None = None
        self._restore()
        self._seed()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def latency(self, name: str) -> float:
        """Simulated seconds the change *name* (a field of world.Latencies) takes."""
        value: float = getattr(self.world.latencies, name)
        return value * self._time_scale

    def settle(self) -> None:
        """Apply every state change that is due. Cheap when nothing is."""
        now_s = self.clock.now_s()
        generation = self.store.generation
        unchanged = generation == self._settled_generation
        if unchanged and (self._next_due_s is None or now_s < self._next_due_s):
            return
        with self.store.transaction():
            dues = [settler(self, now_s) for settler in self._settlers]
        # What the settlers wrote may concern one another, so their own writes count as news.
        self._settled_generation = generation
        self._next_due_s = min((due for due in dues if due is not None), default=None)

    def remember(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a run-time setting across restarts. `clock` means the clock as it is now."""
        with self.store.transaction():
            self.store.put(_SETTING, name, value)

    def setting(self, name: str) -> dict[str, Any]:
        """A setting kept by `remember`; empty when there is none."""
        return dict(self.store.get(_SETTING, name) or {})

    def change_world(self, changes: Mapping[str, Any]) -> None:
        """Replace parts of the world by their plain form, for this and later runs.

        changes: sections as in world_changes.merge. New instances become rows at once.
        Raises WorldError and changes nothing when the result would not be a world.
        """
        before = self.world
        merged = world_changes.merge(self.setting("world"), changes)
        self.world = world_changes.apply(self._declared, merged)
        if "instances" in changes:
            try:
                self._seed()
            except BaseException:
                self.world = before
                raise
        self.metadata_view.lag_s = self.latency("metadata_lag")
        self.remember("world", merged)

    def release_instance(self, instance_id: str) -> None:
        """Take an instance out of the world, for this and later runs; in a transaction."""
        merged = world_changes.release(self.setting("world"), instance_id)
        self.world = world_changes.apply(self._declared, merged)
        self.store.put(_SETTING, "world", merged)

    def reset(self) -> None:
        """Forget every row and setting, run from the declared world again at the machine's time.

        Hardware of disks that vanish this way is freed by the seeders.
        """
        with self.store.transaction():
            self.store.clear()
        self.clock.reset()
        self.view.reset()
        self.metadata_view.reset()
        self.world = self._declared
        self.metadata_view.lag_s = self.latency("metadata_lag")
        self._seed()

    def _restore(self) -> None:
        clock_state = self.setting("clock")
        if clock_state:
            self.clock.restore(clock_state)
        self.view.lag_s = float(self.setting("consistency").get("lag_s", 0.0))
        self.world = world_changes.apply(self._declared, self.setting("world"))
        self.metadata_view.lag_s = self.latency("metadata_lag")

    def _record(self, changes: list[store.Change]) -> None:
        self.view.record(changes)
        self.metadata_view.record(changes)

    def _seed(self) -> None:
        with self.store.transaction():
            for seeder in self._seeders:
                seeder(self)
        self._settled_generation = -1
