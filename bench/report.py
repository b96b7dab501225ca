"""Results of a benchmark: rows, goals, the table and the JSON file. Shape: docs of design, §6."""

import dataclasses
import json
import os
import pathlib
import platform
import statistics
from collections.abc import Mapping, Sequence

OUT = pathlib.Path(__file__).parent / "out"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured case.

    peer: who did it; `ours / peer` for a ratio. p95: 95 % of the n values are at least as good.
    """

    case: str
    peer: str
    median: float
    unit: str
    p95: float
    n: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A value and its limit. better: "lower" or "higher"."""

    name: str
    value: float
    limit: float
    better: str = "lower"

    @property
    def met(self) -> bool:
        """Whether the value is on the good side of the limit."""
        if self.better == "lower":
            return self.value <= self.limit
        return self.value >= self.limit


def _this_machine() -> Mapping[str, object]:
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "architecture": platform.machine(),
    }


@dataclasses.dataclass(slots=True)
class Report:
    """What one target measured."""

    target: str
    rows: list[Row] = dataclasses.field(default_factory=list)
    goals: list[Goal] = dataclasses.field(default_factory=list)
    machine: Mapping[str, object] = dataclasses.field(default_factory=_this_machine)

    def add(self, case: str, peer: str, values: Sequence[float], unit: str) -> float:
        """A row from single *values*; its median."""
        row = Row(
            case=case,
            peer=peer,
            median=statistics.median(values),
            unit=unit,
            p95=p95(values, higher_is_better=unit.endswith("/s")),
            n=len(values),
        )
        self.rows.append(row)
        return row.median

    def add_pair(
        self, case: str, peer: str, ours: Sequence[float], theirs: Sequence[float], unit: str
    ) -> float:
        """Rows for us, for the peer and for the ratio of values measured next to each other.

        Returns the median ratio, ours / theirs.
        """
        self.add(case, OURS, ours, unit)
        self.add(case, peer, theirs, unit)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return self.add(case, f"{OURS} / {peer}", ratios, "ratio")


OURS = "csi-plugin"


def p95(values: Sequence[float], *, higher_is_better: bool = False) -> float:
    """The value that 95 % are at least as good as, nearest rank."""
    best_first = sorted(values, reverse=higher_is_better)
    return best_first[max(0, -(-len(values) * 95 // 100) - 1)]


def write(report: Report) -> pathlib.Path:
    """Write bench/out/<target>.json; its path."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{report.target}.json"
    plain = {
        "target": report.target,
        "machine": dict(report.machine),
        "rows": [dataclasses.asdict(row) for row in report.rows],
        "goals": [{**dataclasses.asdict(goal), "met": goal.met} for goal in report.goals],
    }
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    return path


def read(target: str) -> Report:
    """What another process wrote, with the machine that it ran on."""
    plain = json.loads((OUT / f"{target}.json").read_text(encoding="utf-8"))
    goals = [{key: goal[key] for key in goal if key != "met"} for goal in plain["goals"]]
    return Report(
        target=target,
        rows=[Row(**row) for row in plain["rows"]],
        goals=[Goal(**goal) for goal in goals],
        machine=plain["machine"],
    )


def table(report: Report) -> str:
    """Rows and goals for a person."""
    lines = [("case", "who", "median", "p95", "unit", "n")]
    lines += [
        (row.case, row.peer, _number(row.median), _number(row.p95), row.unit, str(row.n))
        for row in report.rows
    ]
    goals = [("goal", "value", "limit", "met")]
    goals += [
        (
            goal.name,
            _number(goal.value),
            f"{'<=' if goal.better == 'lower' else '>='} {_number(goal.limit)}",
            "yes" if goal.met else "NO",
        )
        for goal in report.goals
    ]
    return f"\n{_columns(lines)}\n\n{_columns(goals)}\n"


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
