import pathlib
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sim import clock, cloud, errors, paging, params, world, world_changes


def default(**changes: object) -> dict[str, object]:
    return yaml.safe_load(world.DEFAULT_FILE.read_text()) | changes


def test_the_default_world_has_two_nodes_in_one_zone() -> None:
    made = world.load()

    assert {row.zone_id for row in made.instances} == {"cn-hangzhou-k"}
    assert len(made.instances) == 2
    assert made.instance_type("ecs.g7.large").disk_quantity == 17
    assert {row.category for row in made.stock(zone_id="cn-hangzhou-j")} >= {"cloud_essd"}


def test_the_command_prints_the_default_world() -> None:
    command = [sys.executable, "-m", "sim", "world"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    assert world.parse(yaml.safe_load(run.stdout)) == world.load()


def test_a_file_replaces_sections_and_merges_numbers(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text("instances: []\nlatencies: {attach_disk: 2}\nthrottle: {style: '429'}\n")

    made = world.load(file)

    assert made.instances == ()
    assert made.latencies.attach_disk == 2.0
    assert made.latencies.detach_disk == world.load().latencies.detach_disk
    assert made.throttle.per_minute["AttachDisk"] == 500


def test_an_empty_file_is_the_default_world(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text("# nothing\n")

    assert world.load(file) == world.load()


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "\t"], ids=["list", "open", "tab"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: pathlib.Path, text: str) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(text)

    with pytest.raises(world.WorldError, match=r"world\.yaml"):
        world.load(file)


def test_an_absent_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(world.WorldError, match="No such file"):
        world.load(tmp_path / "none.yaml")


def test_every_fault_of_the_types_is_told() -> None:
    plain = default(
        region_id=5,
        zones=[{"zone": "a"}],
        quotas={"disks": -1},
        latencies={"attach_disk": "soon"},
        throttle={"style": "418"},
    )

    with pytest.raises(world.WorldError) as refused:
        world.parse(plain)

    assert refused.value.faults == (
        "region_id must be a text (quote it), not 5",
        "zones[0] has no field 'zone'; known: local_name, zone_id",
        "zones[0].zone_id is missing",
        "quotas.disks must not be negative, is -1",
        "latencies.attach_disk must be a number, not 'soon'",
        "throttle.style must be one of 400, 429, not '418'",
    )


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("instances", {"zone_id": "cn-nowhere"}, "cn-nowhere, which is not in zones"),
        ("instances", {"instance_type_id": "ecs.x"}, "ecs.x, which is not in instance_types"),
        ("instances", {"ram_role": "Nobody"}, "Nobody, which is not in roles"),
        ("instances", {"private_ip": "10.0.0.1"}, "outside 192.168.1.0/24"),
        ("instances", {"private_ip": "x"}, "does not appear to be"),
        ("instances", {"private_ip": "192.168.1.12"}, "192.168.1.12 is there twice"),
        ("instances", {"mac": "x"}, "needs a lower-case mac"),
        ("instances", {"vswitch_id": "vsw-bp1sim000000000001"}, "its vswitch is in cn-hangzhou-j"),
        ("vpcs", {"cidr_block": "192.168.0.1/16"}, "has host bits set"),
        ("disk_stock", {"min_gib": 0}, "needs 1 <= min_gib <= max_gib"),
        ("roles", {"max_session_s": 60}, "max_session_s from 3600 to 43200"),
        ("access_keys", {"user_name": "ghost"}, "ghost, which is not in users"),
    ],
)
def test_sections_must_fit_together(section: str, changes: dict[str, object], words: str) -> None:
    plain = default()
    plain[section][0] |= changes

    with pytest.raises(world.WorldError) as refused:
        world.parse(plain)

    assert words in str(refused.value)


def test_an_id_used_twice_is_told() -> None:
    plain = default()
    plain["zones"].append(plain["zones"][0])

    with pytest.raises(world.WorldError, match="cn-hangzhou-j is there twice"):
        world.parse(plain)


def test_changes_replace_rows_with_the_same_key() -> None:
    row = {"zone_id": "cn-hangzhou-k", "category": "cloud_ssd", "min_gib": 20, "max_gib": 30}
    sold_out = row | {"status": "WithoutStock"}
    changes = world_changes.merge({"disk_stock": [row]}, {"disk_stock": [sold_out]})

    changed = world_changes.apply(world.load(), changes)

    assert changes == {"disk_stock": [sold_out]}
    (found,) = changed.stock(zone_id="cn-hangzhou-k", category="cloud_ssd")
    assert (found.status, found.max_gib) == ("WithoutStock", 30)
    assert len(changed.disk_stock) == len(world.load().disk_stock)


def test_changes_that_make_no_world_are_refused() -> None:
    changes = {"disk_stock": [{"zone_id": "mars", "category": "c", "min_gib": 1, "max_gib": 2}]}

    with pytest.raises(world.WorldError, match="mars, which is not in zones"):
        world_changes.apply(world.load(), changes)


def test_latencies_are_scaled(tmp_path: pathlib.Path) -> None:
    made = cloud.Cloud(state_dir=tmp_path, world=world.load(), time_scale=0.5)

    assert made.latency("attach_disk") == 0.15
    made.close()


def test_settlers_run_after_writes_and_when_something_is_due(tmp_path: pathlib.Path) -> None:
    runs: list[float] = []
    due: list[float | None] = [None]

    def settler(_: cloud.Cloud, now_s: float) -> float | None:
        runs.append(now_s)
        return due[0]

    made = cloud.Cloud(state_dir=tmp_path, world=world.load(), settlers=[settler])
    made.clock.freeze()

    made.settle()
    made.settle()
    assert len(runs) == 1
    due[0] = made.clock.now_s() + 10
    with made.store.transaction():
        made.store.put("disk", "a", {})
    made.settle()
    made.settle()
    assert len(runs) == 2
    due[0] = None
    made.clock.advance(10)
    made.settle()
    assert len(runs) == 3
    made.close()


def test_seeders_run_at_start_and_after_a_reset(tmp_path: pathlib.Path) -> None:
    def seeder(made: cloud.Cloud) -> None:
        made.store.put("instance", "i-1", {"count": len(made.store.all("instance"))})

    made = cloud.Cloud(state_dir=tmp_path, world=world.load(), seeders=[seeder])
    with made.store.transaction():
        made.store.put("disk", "d-1", {})

    made.reset()

    assert made.store.all("instance") == [{"count": 0}]
    assert made.store.all("disk") == []
    made.close()


def test_the_clock_stops_runs_faster_and_goes_on_in_a_later_process() -> None:
    made = clock.Clock()
    made.freeze()
    frozen_s = made.now_s()
    made.advance(100)
    assert made.now_s() == frozen_s + 100

    later = clock.Clock()
    later.restore(made.state())
    assert later.now_s() == frozen_s + 100
    later.set_rate(1e6)
    later.advance(1)
    assert later.now_s() > frozen_s + 101


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-23T07:41:54Z", 1795419714.0),
        ("2026-11-23T07:41Z", 1795419660.0),
        ("2026-11-23", None),
        ("2026-13-23T07:41:54Z", None),
        ("2026-11-23T07:41:54+08:00", None),
    ],
)
def test_times_are_read_in_the_two_forms_of_the_api(text: str, value: float | None) -> None:
    assert clock.parse(text) == value


def test_lists_structures_and_json_arrays_are_read() -> None:
    read = params.Params(
        {
            "Tag.2.Key": "b",
            "Tag.1.Key": "a",
            "Tag.1.Value": "",
            "Tag.10.Key": "c",
            "Tag.x.Key": "no",
            "Id.1": "one",
            "Id.3": "three",
            "Id.2": "",
            "DiskIds": '["d-1", "d-2"]',
        }
    )

    assert read.structs("Tag") == [{"Key": "a", "Value": ""}, {"Key": "b"}, {"Key": "c"}]
    assert read.strings("Id") == ["one", "three"]
    assert read.json_strings("DiskIds") == ["d-1", "d-2"]
    assert read.json_strings("Other") is None


@pytest.mark.parametrize("text", ["x", '{"a": 1}', "[1]", "d-1,d-2"])
def test_what_is_no_json_array_of_strings_is_refused(text: str) -> None:
    with pytest.raises(errors.ApiError, match="a JSON array of strings"):
        params.Params({"DiskIds": text}).json_strings("DiskIds")


@pytest.mark.parametrize("text", ["x", "1.5", "0", "101", "٣", "1_0", " 5"])
def test_numbers_out_of_range_or_shape_are_refused(text: str) -> None:
    with pytest.raises(errors.ApiError) as refused:
        params.Params({"Size": text}).integer("Size", minimum=1, maximum=100)

    assert refused.value.code == "InvalidParameter"
    assert "from 1 to 100" in refused.value.message


@pytest.mark.parametrize(("text", "value"), [("True", True), ("false", False), ("", None)])
def test_booleans_are_read_in_any_case(text: str, value: bool | None) -> None:
    assert params.Params({"Force": text}).boolean("Force") is value


def test_other_booleans_are_refused() -> None:
    with pytest.raises(errors.ApiError, match="true or false"):
        params.Params({"Force": "1"}).boolean("Force")


def test_a_required_parameter_is_named_when_it_is_missing() -> None:
    with pytest.raises(errors.ApiError) as refused:
        params.Params({"DiskId": ""}).required("DiskId")

    assert (refused.value.code, refused.value.http_status) == ("MissingParameter", 400)
    assert '"DiskId"' in refused.value.message


@given(st.integers(0, 60), st.integers(1, 40))
def test_pages_by_token_give_every_row_once(count: int, size: int) -> None:
    rows = [f"d-{n}" for n in range(count)]
    seen: list[str] = []
    token = ""
    while True:
        ask = params.Params({"MaxResults": str(size), "NextToken": token})
        page = paging.by_token(ask, rows, lambda row: row)
        assert len(page.items) <= max(10, size)
        seen += page.items
        token = page.fields["NextToken"]
        if not token:
            break
    assert seen == rows


def test_a_page_may_be_cut_to_the_most_it_may_hold() -> None:
    rows = [f"d-{n}" for n in range(30)]
    ask = params.Params({"MaxResults": "21"})

    page = paging.either(ask, rows, lambda row: row, maximum=20, clamps=True)

    assert page.items == rows[:20]
    assert page.fields["NextToken"] != ""


def test_a_row_that_vanishes_between_pages_shifts_nothing() -> None:
    rows = [f"d-{n}" for n in range(25)]
    first = paging.by_token(params.Params({}), rows, lambda row: row)
    token = first.fields["NextToken"]

    ask = params.Params({"NextToken": token})
    second = paging.by_token(ask, rows[3:], lambda row: row)

    assert second.items == rows[10:20]


@pytest.mark.parametrize("token", ["x", "!!!", "YWZ0ZXI6eA=="])
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(errors.ApiError) as refused:
        paging.by_token(params.Params({"NextToken": token}), ["a"], lambda row: row)

    assert (refused.value.code, refused.value.http_status) == ("InvalidNextToken", 400)


def test_pages_by_number_tell_the_total() -> None:
    rows = list(range(25))

    page = paging.by_number(params.Params({"PageNumber": "3", "PageSize": "10"}), rows)

    assert page.items == [20, 21, 22, 23, 24]
    assert page.fields == {"PageNumber": 3, "PageSize": 10, "TotalCount": 25}
