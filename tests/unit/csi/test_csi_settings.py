import pathlib

import pytest

from core import errors
from core import settings as core_settings
from csi import driver, flags, settings


def read(*argv, environ=None):
    arguments = flags.parse(argv)
    reader = core_settings.Reader(environ or {}, flags.values(arguments))
    process = settings.read(arguments, reader)
    reader.finish()
    return process


def test_defaults_are_the_reference_drivers():
    process = read()

    assert process.drivers == ("diskplugin.csi.alibabacloud.com",)
    assert process.roles == driver.Roles(controller=True, node=True)
    assert process.http_port == 11270
    assert process.endpoint == "unix:///tmp/csi.sock"
    assert process.feature_gates["EnableVolumeGroupSnapshots"] is True


@pytest.mark.parametrize(
    ("argv", "environ", "roles"),
    [
        (["--run-controller-service=false"], {}, (False, True)),
        (["--run-node-service=false"], {}, (True, False)),
        (["--run-as-controller"], {}, (True, False)),
        ([], {"SERVICE_TYPE": "plugin"}, (False, True)),
        ([], {"SERVICE_TYPE": "provisioner"}, (True, False)),
        (["--run-node-service"], {"SERVICE_TYPE": "provisioner"}, (True, True)),
    ],
)
def test_old_and_new_ways_to_choose_the_services(argv, environ, roles):
    process = read(*argv, environ=environ)

    assert (process.roles.controller, process.roles.node) == roles
    assert process.http_port == (11270 if roles[0] else 11260)


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (["--run-controller-service=false", "--run-node-service=false"], "nothing to do"),
        (["--feature-gates=DiskADController=maybe"], "DiskADController=maybe"),
        (["--feature-gates=NoSuchGate=true"], "NoSuchGate"),
        (["--logging-format=xml"], "text or json"),
        (["--v=-1"], "from 0 to 10"),
        (["--driver=,"], "names no driver"),
        (["--run-node-service=perhaps"], "perhaps"),
    ],
)
def test_a_bad_flag_is_refused_with_what_is_allowed(argv, fault):
    with pytest.raises(core_settings.SettingsError, match=fault):
        read(*argv)


def test_an_unknown_flag_or_an_abbreviation_is_refused(capsys):
    with pytest.raises(SystemExit):
        flags.parse(["--endpont=unix:///x"])
    assert "--endpont" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("unix:///csi/csi.sock", "/csi/csi.sock"),
        ("unix://csi/csi.sock", "/csi/csi.sock"),
        ("unix:/csi/csi.sock", "/csi/csi.sock"),
        ("/csi/csi.sock", "/csi/csi.sock"),
        (
            "unix:///var/lib/kubelet/csi-plugins/driverplugin.csi.alibabacloud.com-replace/csi.sock",
            "/var/lib/kubelet/csi-plugins/diskplugin.csi.alibabacloud.com/csi.sock",
        ),
    ],
)
def test_endpoints_of_the_reference_lead_to_the_same_socket(endpoint, path):
    told = settings.socket_path(endpoint, "diskplugin.csi.alibabacloud.com")

    assert told == pathlib.Path(path)


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:10000", "unix://", ""])
def test_anything_but_a_unix_socket_is_refused(endpoint):
    with pytest.raises(errors.InvalidField, match="--endpoint"):
        settings.socket_path(endpoint, "d")


def test_registration_is_on_when_kubelet_is_there_and_can_be_switched_off(tmp_path):
    (tmp_path / "plugins_registry").mkdir()
    environ = {"KUBELET_ROOT_DIR": str(tmp_path)}

    assert read(environ=environ).registration_dir == tmp_path / "plugins_registry"
    assert read("--kubelet-registration-dir=", environ=environ).registration_dir is None
    assert read("--run-node-service=false", environ=environ).registration_dir is None
    assert read(environ={"KUBELET_ROOT_DIR": str(tmp_path / "no")}).registration_dir is None


@pytest.mark.parametrize("name", ["nosuch", "pov", "mem"])
def test_a_driver_we_do_not_have_is_named_with_what_there_is(name):
    with pytest.raises(errors.Invalid, match=f"{name}(plugin|' is)"):
        driver.build(driver.full_name(name), None)
