"""Trees and exports of a state directory on Linux: implements files_api.Files."""

import dataclasses
import pathlib
from typing import Any

import structlog

from sim.hardware import api, files_api
from sim.hardware.files import disk, hosts, kernel, model, plan, quotas, server
from sim.hardware.files import exports as exports_module
from sim.hardware.files import fabric as fabric_module
from sim.hardware.files import trees as trees_module

log = structlog.get_logger()

WORK = "files"
"""The directory below the state directory."""
_READY_S = 120.0
_EXPORT_READY_S = 5.0
"""For all exports of a start, and for each more. One takes 2 s in the lab."""


class LinuxFiles:
    """Everything below `<state_dir>/files`, and the names in `<state_dir>/hosts`."""

    def __init__(self, state_dir: pathlib.Path) -> None:
        state_dir = state_dir.resolve()
        self._work = state_dir / WORK
        self._hosts = state_dir / "hosts"
        self._names = model.Names.of(state_dir)
        self._fabric = fabric_module.Fabric(self._names)
        self._disk = disk.Disk(self._work)
        self._trees = trees_module.Trees(self._disk.path)
        self._quotas: tuple[files_api.Quota, ...] = ()
        self._exports: exports_module.Exports | None = None
        self._numbers: dict[str, int] = {}
        self._last = 0
        self.why_no_exports = kernel.why_no_exports()

    def sync(self, wanted: files_api.Wanted) -> None:
        """As `files_api.Files.sync`. `serves` and `wait` tell when exports are so."""
        self._disk.ensure()
        trash = self._trees.sync(wanted.file_system_ids)
        self._limit(wanted.quotas)
        if self.why_no_exports:
            if trash:
                self._trees.empty_trash()
            return
        exports = self._exports or self._open()
        most = self._fabric.addresses.most
        servers = plan.assign(wanted.exports, self._numbers, after=self._last, most=most)
        self._numbers = {row.domain: row.number for row in servers}
        self._last = max([self._last, *self._numbers.values()]) % most
        named = {export.domain for export in wanted.exports if export.named}
        self._write_hosts(
            {row.domain: self._address(row) for row in servers if row.domain in named}
        )
        exports.want(servers)

    def serves(self, domain: str) -> bool:
        """Whether the export answers; True where there are no exports."""
        return self._exports is None or self._exports.serves(domain)

    def wait(self) -> None:
        """Until every export answers. HardwareError, with the reason, when that takes too long."""
        if self._exports is not None:
            self._exports.wait(_READY_S + _EXPORT_READY_S * len(self._numbers))

    def make_directory(
        self, file_system_id: str, path: str, *, user_id: int, group_id: int, mode: int
    ) -> None:
        """As `files_api.Files.make_directory`. Parents that are made belong to root, mode 0755."""
        self._trees.make(file_system_id, path, user_id=user_id, group_id=group_id, mode=mode)

    def remove_directory(self, file_system_id: str, path: str) -> None:
        """As `files_api.Files.remove_directory`. Its files go with the next `sync`."""
        self._trees.set_aside(file_system_id, path)

    def is_directory(self, file_system_id: str, path: str) -> bool | None:
        """As `files_api.Files.is_directory`."""
        return self._trees.is_directory(file_system_id, path)

    def usage(self, file_system_id: str, path: str) -> files_api.Usage:
        """As `files_api.Files.usage`."""
        with self._trees.opened(file_system_id, path) as directory:
            if directory is None:
                return files_api.Usage(size_bytes=0, file_count=0)
            try:
                return trees_module.usage(directory)
            except OSError as e:
                raise api.HardwareError(f"files: usage of {file_system_id}:{path}: {e}") from e

    def describe(self) -> dict[str, Any]:
        """For people and tests: docs/reference/simulator-nas.md has the fields."""
        told = {
            "trees": str(self._trees.root("")),
            "exports_off": self.why_no_exports,
            "quotas_off": self._disk.why_no_quotas,
            "quotas": [self._describe_quota(quota) for quota in self._quotas],
        }
        if self._exports is None:
            return {**told, "exports": []}
        addresses = self._fabric.addresses
        return {
            **told,
            "error": self._exports.error,
            "hosts": str(self._hosts),
            "router": self._names.router,
            "block": str(addresses.block),
            "router_address": str(addresses.router),
            "machine_address": str(addresses.machine),
            "client_addresses": [str(each) for each in addresses.clients],
            "exports": self._exports.describe(),
        }

    def release(self) -> None:
        """Remove every export of this state directory, also a former process's; trees stay."""
        self.close()
        for number in self._fabric.numbers():
            exports_module.stop(self._names, self._fabric, number)
        self._fabric.remove()
        self._hosts.unlink(missing_ok=True)
        self._disk.unmount()

    def close(self) -> None:
        """Let another process have it; exports stay."""
        if self._exports is not None:
            self._exports.close()
            self._exports = None

    def _limit(self, wanted: tuple[files_api.Quota, ...]) -> None:
        device = self._disk.device
        if device is not None and wanted != self._quotas:
            quotas.sync(device, self._trees, wanted)
        self._quotas = wanted

    def _describe_quota(self, quota: files_api.Quota) -> dict[str, Any]:
        used = self.usage(quota.file_system_id, quota.path)
        return {
            **dataclasses.asdict(quota),
            "used_bytes": used.size_bytes,
            "used_files": used.file_count,
        }

    def _open(self) -> exports_module.Exports:
        self._fabric.ensure()
        try:
            known = hosts.names(hosts.read(self._hosts))
        except OSError as e:
            raise api.HardwareError(f"files: {e}") from e
        numbers = {name: self._fabric.addresses.number(address) for name, address in known.items()}
        self._numbers = {name: number for name, number in numbers.items() if number is not None}
        self._exports = exports_module.Exports(
            self._names, self._fabric, start=self._start, after=self._trees.empty_trash
        )
        return self._exports

    def _start(self, row: model.Server, netns: str) -> None:
        tree = self._trees.root(row.file_system_id) / row.path.strip("/")
        if self._trees.is_directory(row.file_system_id, row.path) is not True:
            raise api.HardwareError(f"files: {row.domain}: there is no directory {tree}")
        server.start(row, netns, tree, self._work)

    def _address(self, row: model.Server) -> str:
        return str(self._fabric.addresses.server(row.number))

    def _write_hosts(self, wanted: dict[str, str]) -> None:
        try:
            hosts.update(self._hosts, wanted)
        except OSError as e:
            raise api.HardwareError(f"files: {self._hosts}: {e}") from e
