import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from sim import params, policy, resources
from tests.sim.conftest import STS, Sim

ACCOUNT = "1234567890123456"


def rules(*statements: tuple[str, list[str], list[str]]) -> policy.Policy:
    rows = [{"Effect": e, "Action": a, "Resource": r} for e, a, r in statements]
    return policy.parse({"Version": "1", "Statement": rows})


def restrict(sim: Sim, *statements: tuple[str, list[str], list[str]]) -> None:
    user = {
        "user_name": "simulated",
        "user_id": "200000000000000001",
        "policies": [dict(rules(*statements).document)],
    }
    sim.control("POST", "ram", {"users": [user]})


def test_a_missing_permission_is_forbidden_with_details(sim: Sim) -> None:
    restrict(sim, ("Allow", ["ecs:Describe*"], ["*"]))
    ask = models.CreateDiskRequest(
        region_id="cn-hangzhou", zone_id="cn-hangzhou-k", disk_category="cloud_essd", size=20
    )

    with pytest.raises(ClientException) as denied:
        sim.ecs().create_disk(ask)

    detail = denied.value.access_denied_detail
    assert (denied.value.code, denied.value.status_code) == ("Forbidden.RAM", 403)
    assert detail["AuthAction"] == "ecs:CreateDisk"
    assert detail["NoPermissionType"] == "ImplicitDeny"
    assert detail["AuthPrincipalType"] == "SubUser"
    assert sim.rpc("DescribeDisks").status == 200


def test_an_explicit_deny_beats_every_allow(sim: Sim) -> None:
    restrict(sim, ("Allow", ["*"], ["*"]), ("Deny", ["ecs:DescribeDisks"], ["*"]))

    reply = sim.rpc("DescribeDisks")

    assert reply.code == "Forbidden.RAM"
    assert reply.json["AccessDeniedDetail"]["NoPermissionType"] == "ExplicitDeny"
    assert sim.rpc("DescribeInstances").status == 200


def test_a_permission_may_be_for_one_disk(sim: Sim) -> None:
    restrict(sim, ("Allow", ["ecs:DeleteDisk"], [f"acs:ecs:*:{ACCOUNT}:disk/d-mine"]))

    assert sim.rpc("DeleteDisk", {"DiskId": "d-mine"}).code != "Forbidden.RAM"
    assert sim.rpc("DeleteDisk", {"DiskId": "d-other"}).code == "Forbidden.RAM"


def test_a_key_of_the_account_may_do_everything(sim: Sim) -> None:
    key = {"access_key_id": "LTAIroot", "access_key_secret": "root-secret"}
    sim.control("POST", "ram", {"access_keys": [key]})

    answers = [
        sim.rpc("DescribeDisks", key=("LTAIroot", "root-secret")),
        sim.rpc("GetCallerIdentity", version=STS, key=("LTAIroot", "root-secret")),
    ]

    assert [row.status for row in answers] == [200, 200]
    assert answers[1].json["IdentityType"] == "Account"


def test_everybody_may_ask_who_they_are(sim: Sim) -> None:
    restrict(sim, ("Deny", ["*"], ["*"]))

    assert sim.rpc("GetCallerIdentity", version=STS).status == 200


def test_changed_permissions_survive_a_kill(own_sim: Sim) -> None:
    restrict(own_sim, ("Deny", ["*"], ["*"]))

    own_sim.kill()
    own_sim.start()

    assert own_sim.rpc("DescribeDisks").code == "Forbidden.RAM"


@pytest.mark.parametrize(
    ("action", "resource", "verdict"),
    [
        ("ecs:AttachDisk", "acs:ecs:r:a:disk/d-1", policy.Verdict.ALLOWED),
        ("ECS:attachdisk", "acs:ecs:r:a:disk/d-1", policy.Verdict.ALLOWED),
        ("ecs:AttachDisk", "acs:ecs:r:a:disk/d-12", policy.Verdict.IMPLICIT_DENY),
        ("ecs:AttachDisks", "acs:ecs:r:a:disk/d-1", policy.Verdict.IMPLICIT_DENY),
        ("ecs:DeleteDisk", "acs:ecs:r:a:disk/d-1", policy.Verdict.EXPLICIT_DENY),
    ],
)
def test_wildcards_and_letter_case(action: str, resource: str, verdict: policy.Verdict) -> None:
    held = rules(
        ("Allow", ["ecs:Attach????"], ["acs:ecs:*:a:disk/d-?"]),
        ("Deny", ["ecs:Delete*"], ["*"]),
    )

    assert policy.judge([held], action, [resource]) is verdict


def test_every_resource_of_a_call_must_be_allowed() -> None:
    held = rules(("Allow", ["ecs:AttachDisk"], ["acs:ecs:*:*:disk/*"]))
    wanted = ["acs:ecs:r:a:disk/d-1", "acs:ecs:r:a:instance/i-1"]

    assert policy.judge([held], "ecs:AttachDisk", wanted) is policy.Verdict.IMPLICIT_DENY


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"Version": "2", "Statement": []},
        {"Version": "1", "Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]},
        {"Version": "1", "Statement": [{"Effect": "Allow", "Action": [], "Resource": "*"}]},
        {
            "Version": "1",
            "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {}}}
            ],
        },
    ],
)
def test_a_document_that_is_not_understood_is_refused(document: object) -> None:
    with pytest.raises(policy.PolicyError):
        policy.parse(document)


@pytest.mark.parametrize(
    ("action", "values", "found"),
    [
        ("AttachDisk", {"DiskId": "d-1", "InstanceId": "i-1"}, ["disk/d-1", "instance/i-1"]),
        ("DescribeDisks", {"DiskIds": '["d-1", "d-2"]'}, ["disk/d-1", "disk/d-2"]),
        ("DescribeDisks", {}, ["disk/*"]),
        ("CreateDisk", {"SnapshotId": "s-1"}, ["snapshot/s-1", "disk/*"]),
        ("CreateSnapshotGroup", {"DiskId.1": "d-1", "DiskId.2": "d-2"}, ["disk/d-1", "disk/d-2"]),
        ("TagResources", {"ResourceType": "snapshot", "ResourceId.1": "s-1"}, ["snapshot/s-1"]),
        ("DescribeZones", {}, ["*"]),
    ],
)
def test_the_resources_of_a_request(action: str, values: dict[str, str], found: list[str]) -> None:
    names = resources.of(
        product="ecs",
        action=action,
        request=params.Params(values),
        region_id="r",
        account_id="a",
    )

    assert names == [f"acs:ecs:r:a:{name}" for name in found]
