"""Reading settings from the environment, with every fault reported at once."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from core import durations, errors

_TRUE = frozenset({"true", "yes", "enable", "enabled", "1", "on"})
_FALSE = frozenset({"false", "no", "disable", "disabled", "0", "off"})


class SettingsError(errors.Invalid):
    """All faults found in the settings, one a line."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an effective value came from, for `--print-settings`."""

    name: str
    value: str
    origin: str


class Reader:
    """Reads one process's settings by name; collects faults instead of stopping at the first.

    flags: values given on the command line, which win over *environ*. An empty environment value
    counts as unset, as Kubernetes manifests often carry empty ones.
    """

    def __init__(
        self, environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None
    ) -> None:
        self._environ = environ
        self._flags = flags or {}
        self.faults: list[str] = []
        self.origins: list[Origin] = []

    def text(self, name: str, default: str = "", *, flag: str = "", secret: bool = False) -> str:
        """Value of *flag* or environment variable *name*, else *default*."""
        raw = self._flags.get(flag)
        origin = f"flag --{flag}"
        if raw is None:
            raw = self._environ.get(name) or None
            origin = f"environment {name}"
        if raw is None:
            raw, origin = default, "default"
        shown = "***" if secret and raw else raw
        told = Origin(name=flag or name, value=shown, origin=origin)
        if told not in self.origins:  # two readers of one variable are one setting
            self.origins.append(told)
        return raw

    def boolean(self, name: str, *, default: bool, flag: str = "") -> bool:
        """True for true, yes, enable, 1, on; False for the opposites; else a fault."""
        raw = self.text(name, "true" if default else "false", flag=flag)
        low = raw.strip().lower()
        if low in _TRUE:
            return True
        if low not in _FALSE:
            self._fault(name, flag, raw, "true, yes, enable, 1, on or false, no, disable, 0, off")
        return False

    def integer(
        self, name: str, default: int, *, minimum: int, maximum: int, flag: str = ""
    ) -> int:
        """Whole number between *minimum* and *maximum*."""
        raw = self.text(name, str(default), flag=flag)
        try:
            value = int(raw)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            self._fault(name, flag, raw, f"a whole number from {minimum} to {maximum}")
            return default
        return value

    def choice(self, name: str, default: str, allowed: Sequence[str], *, flag: str = "") -> str:
        """One of *allowed*, whatever its case."""
        raw = self.text(name, default, flag=flag)
        for candidate in allowed:
            if candidate.lower() == raw.strip().lower():
                return candidate
        self._fault(name, flag, raw, " or ".join(allowed))
        return default

    def absolute(self, name: str, default: str) -> pathlib.Path:
        """An absolute path without "..", never the root directory."""
        raw = self.text(name, default)
        path = pathlib.Path(raw)
        if not path.is_absolute() or ".." in path.parts or path == pathlib.Path("/"):
            self._fault(name, "", raw, "an absolute path, no ..")
            return pathlib.Path(default)
        return path

    def duration_s(self, name: str, default_s: float) -> float:
        """Seconds, of a text such as `30s` or `5m`."""
        raw = self.text(name, f"{default_s:g}s")
        try:
            return durations.parse_s(raw)
        except ValueError:
            self._fault(name, "", raw, "a duration such as 30s or 5m")
            return default_s

    def fault(self, text: str) -> None:
        """Report a fault found by the caller."""
        self.faults.append(text)

    def finish(self) -> None:
        """Raise SettingsError when any fault was found."""
        if self.faults:
            raise SettingsError(self.faults)

    def _fault(self, name: str, flag: str, raw: str, allowed: str) -> None:
        where = " or ".join(filter(None, (flag and f"--{flag}", name)))
        self.faults.append(f"{where}: {raw!r} is not allowed; allowed: {allowed}")
