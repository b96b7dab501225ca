"""docs/reference/simulator.md names everything there is."""

import dataclasses
import pathlib
import re

import sim.ecs
import sim.eflo
import sim.nas
import sim.oss
import sim.vpc
import sim.vpc_routes  # noqa: F401 - registers the actions
from sim import actions, app, calllog, control, faults, sts, world, world_model
from sim.ecs import behaviour
from sim.hardware import network_api
from sim.oss import calls

TEXT = (pathlib.Path(__file__).parents[2] / "docs/reference/simulator.md").read_text()
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
WORDS = set(re.findall(r"`([^`\n]+)`", PROSE))


def fields(kind: type) -> set[str]:
    return {row.name for row in dataclasses.fields(kind)}


def nas_actions() -> set[str]:
    """Actions in the first column of simulator-nas.md's table."""
    page = (pathlib.Path(__file__).parents[2] / "docs/reference/simulator-nas.md").read_text()
    table = page.partition("## Actions")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    return set(re.findall(r"[A-Z][a-z]+[A-Za-z]*", " ".join(cells)))


def test_every_action_is_documented_and_no_other() -> None:
    section = TEXT.partition("## Actions")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`([A-Z][A-Za-z0-9]+)`", section))
    documented |= nas_actions()

    assert sts.VERSION in section
    assert documented == {row.partition(":")[2] for row in actions.names()}


def test_every_operation_of_object_storage_is_documented_and_no_other() -> None:
    page = (pathlib.Path(__file__).parents[2] / "docs/reference/simulator-oss.md").read_text()
    table = page.partition("## Operations")[2].partition("\n## ")[0]

    assert set(re.findall(r"`([A-Z][A-Za-z]+)`", table)) == set(calls.names())


def test_every_field_of_the_world_is_documented() -> None:
    rows = [
        world.World, world.Zone, world.Vpc, world.VSwitch, world.SecurityGroup,
        world.InstanceType, world.Instance, world.DiskStock, world.Quotas, world.Latencies,
        world.Throttle, world.User, world.AccessKey, world.Role, world.OidcTrust,
        world.OidcProvider, world.Route, network_api.Rule, world.FileSystem,
        world_model.LingjunNode, world.OssBucket,
    ]  # fmt: skip

    assert {name for row in rows for name in fields(row)} - WORDS == set()


def test_every_flag_is_documented() -> None:
    parser = app._parser()
    commands = parser._subparsers._group_actions[0].choices
    flags = {
        flag
        for command in commands.values()
        for action in command._actions
        for flag in action.option_strings
        if flag.startswith("--") and flag != "--help"
    }

    assert {flag for flag in flags if flag not in TEXT} == set()
    assert {name for name in commands if f"`{name}" not in TEXT} == set()


def test_every_control_route_is_documented() -> None:
    routes = control.Control.routes(control.Control.__new__(control.Control))
    names = {f"{row.method} {row.path}" for row in routes if row.method != "*"}

    assert {name for name in names if f"`{name}" not in TEXT} == set()


def test_every_fault_field_call_field_and_switch_is_documented() -> None:
    assert set(faults.Effect) - WORDS == set()
    assert {name for name in faults._FIELDS if name not in TEXT} == set()
    assert fields(calllog.Entry) - WORDS == set()
    assert fields(behaviour.Behaviour) - WORDS == set()
