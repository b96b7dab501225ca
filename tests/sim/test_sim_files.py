"""Real files behind the simulated NAS: what is decided, without the machine."""

import pathlib

import pytest

from sim.hardware import api, files_api
from sim.hardware.files import disk, hosts, model, plan, projects, quotas, trees

DOMAIN = "0a1b2c3d4e-sim01.cn-hangzhou.nas.aliyuncs.com"
NONE = projects.Limit(size_bytes=0, file_count=0)
BIG = projects.Limit(size_bytes=1 << 30, file_count=0)
SMALL = projects.Limit(size_bytes=1 << 20, file_count=5)


def export(domain, path="/"):
    return files_api.Export(domain=domain, file_system_id="fs", path=path)


def server(number, domain="a", path="/"):
    return model.Server.of(export(domain, path), number)


class TestServers:
    def test_who_has_an_address_keeps_it_and_others_get_the_next(self):
        made = plan.assign(map(export, "abc"), {"b": 2}, after=0, most=5)

        assert [(row.domain, row.number) for row in made] == [("a", 1), ("b", 2), ("c", 3)]

    def test_an_address_is_given_again_only_after_all_others(self):
        made = plan.assign([export("a"), export("b")], {}, after=4, most=5)

        assert [row.number for row in made] == [5, 1]

    def test_too_many_are_refused(self):
        with pytest.raises(api.HardwareError, match="all 2 addresses are in use"):
            plan.assign(map(export, "abc"), {}, after=0, most=2)

    @pytest.mark.parametrize(
        ("have", "want", "stop", "start"),
        [
            ({}, [server(1)], (), (server(1),)),
            ({1: server(1)}, [server(1)], (), ()),
            ({1: server(1), 2: server(2)}, [server(2)], (1,), ()),
            ({1: server(1)}, [server(1, path="/x")], (1,), (server(1, path="/x"),)),
            ({1: None}, [server(1)], (1,), (server(1),)),
            ({1: None}, [], (1,), ()),
        ],
        ids=["new", "right", "gone", "changed", "half made", "half made and gone"],
    )
    def test_steps(self, have, want, stop, start):
        assert plan.steps(have, want) == plan.Steps(stop=stop, start=start)

    def test_what_a_server_tells_is_read_again(self):
        told = server(3, path='/a "b"')

        assert model.Server.parse(told.text()) == told

    def test_only_the_root_of_nfs_4_has_number_0(self):
        share = model.Server(domain="a", file_system_id="f", path="/", prefix="/share", number=1)

        assert server(1).fsid == 0
        assert 0 < share.fsid < 1 << 31
        assert share.seen_path == "/share"


class TestNames:
    def test_of_two_state_directories_differ(self, tmp_path):
        one, two = model.Names.of(tmp_path / "one"), model.Names.of(tmp_path / "two")

        assert one.number(one.server(7)) == 7
        assert two.number(one.server(7)) is None
        assert one.number(one.router) is None
        assert len(one.link) <= 15, "the kernel's longest name of an interface"

    def test_every_block_is_tried_from_its_own(self):
        blocks = list(model.Names("00000001").blocks())

        assert str(blocks[0]) == "198.18.2.0/23"
        assert len(set(blocks)) == 256

    def test_addresses_of_servers_clients_and_the_machine_differ(self):
        addresses = model.Addresses(next(model.Names("00000000").blocks()))
        servers = [addresses.server(number) for number in range(1, addresses.most + 1)]
        every = [addresses.router, addresses.machine, *addresses.clients, *servers]

        assert len(set(every)) == len(every) == 510
        assert addresses.number(str(servers[-1])) == addresses.most
        assert addresses.number(str(addresses.machine)) is None
        assert addresses.number("::1") is None


class TestHosts:
    def test_names_come_and_go_in_place(self):
        one = hosts.changed("", {"a.test": "198.18.0.2", "longer.test": "198.18.0.3"})
        two = hosts.changed(one, {"longer.test": "198.18.0.3"})
        three = hosts.changed(two, {"longer.test": "198.18.0.3", "b.test": "198.18.0.4"})

        assert hosts.names(one)["a.test"] == "198.18.0.2"
        assert "a.test" not in two
        assert hosts.names(three)["b.test"] == "198.18.0.4"
        assert hosts.names(three)["localhost"] == "::1"
        assert len(one) == len(two) == len(three)
        assert one.index("longer.test") == two.index("longer.test") == three.index("longer.test")

    def test_an_address_may_change(self):
        one = hosts.changed("", {"a.test": "198.18.0.2"})

        assert hosts.names(hosts.changed(one, {"a.test": "198.18.0.9"}))["a.test"] == "198.18.0.9"

    def test_the_file_stays_the_same_file(self, tmp_path):
        path = tmp_path / "hosts"
        hosts.update(path, {DOMAIN: "198.18.0.2"})
        inode = path.stat().st_ino
        hosts.update(path, {})

        assert path.stat().st_ino == inode
        assert DOMAIN not in path.read_text()


class TestTrees:
    @pytest.fixture
    def made(self, tmp_path: pathlib.Path) -> trees.Trees:
        made = trees.Trees(tmp_path)
        made.sync(["fs"])
        return made

    def test_directories_have_owner_and_mode_and_stay_as_they_are(self, made):
        me = {"user_id": -1, "group_id": -1}
        made.make("fs", "/a/b", **me, mode=0o770)
        made.make("fs", "/a/b", **me, mode=0o700)

        assert made.root("fs").joinpath("a/b").stat().st_mode & 0o777 == 0o770
        assert made.root("fs").joinpath("a").stat().st_mode & 0o777 == 0o755

    def test_a_clients_link_leads_nowhere(self, made, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        made.root("fs").joinpath("link").symlink_to(outside)

        with pytest.raises(api.HardwareError):
            made.make("fs", "/link/x", user_id=-1, group_id=-1, mode=0o755)
        assert made.is_directory("fs", "/link") is False
        assert made.is_directory("fs", "/link/x") is None
        assert not list(outside.iterdir())

    def test_what_is_there_is_told(self, made):
        made.root("fs").joinpath("file").write_text("x")

        assert made.is_directory("fs", "/") is True
        assert made.is_directory("fs", "/file") is False
        assert made.is_directory("fs", "/file/x") is None
        assert made.is_directory("fs", "/nothing") is None
        assert made.is_directory("nothing", "/") is None
        with pytest.raises(api.HardwareError, match="no absolute path"):
            made.is_directory("fs", "/../x")

    def test_a_file_with_two_names_is_counted_once(self, made):
        file = made.root("fs") / "a/file"
        file.parent.mkdir()
        file.write_bytes(bytes(8192))
        file.with_name("other").hardlink_to(file)

        with made.opened("fs", "/a") as directory:
            used = trees.usage(directory)

        assert (used.size_bytes, used.file_count) == (file.stat().st_blocks * 512, 1)

    def test_trees_that_are_gone_are_emptied_later(self, made, tmp_path):
        (made.root("fs") / "file").write_text("x")

        assert made.sync(["other"])
        assert not made.root("fs").exists()
        assert made.root("other").is_dir()
        made.empty_trash()
        assert not made.sync(["other"])


class TestQuotas:
    @pytest.mark.parametrize(
        ("have", "want", "change"),
        [
            ({}, {7: BIG}, {7: BIG}),
            ({7: BIG}, {7: BIG}, {}),
            ({7: BIG}, {7: SMALL}, {7: SMALL}),
            ({7: BIG, 8: SMALL}, {8: SMALL}, {7: NONE}),
        ],
        ids=["new", "right", "changed", "gone"],
    )
    def test_limits_to_set(self, have, want, change):
        assert quotas.plan_limits(have, want) == change

    def test_a_state_directory_made_without_quotas_stays_without(self, tmp_path):
        (tmp_path / "disk/trees").mkdir(parents=True)
        made = disk.Disk(tmp_path)
        made.ensure()

        assert made.device is None
        assert made.why_no_quotas == "this state directory was made without quotas"
