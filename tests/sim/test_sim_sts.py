import pathlib
import subprocess
import sys
import time

import pytest
from alibabacloud_credentials.provider import OIDCRoleArnCredentialsProvider
from alibabacloud_sts20150401 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from sim import sts
from tests.sim.conftest import STS, Reply, Sim

ROLE = "acs:ram::1234567890123456:role/csi-admin"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack-rrsa-sim"
ISSUER = "https://oidc-ack-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com/sim"
SUBJECT = "system:serviceaccount:kube-system:csi-admin"


def token(
    *, issuer: str = ISSUER, subject: str = SUBJECT, audience: str = "sts.aliyuncs.com",
    lifetime_s: float = 3600,
) -> str:  # fmt: skip
    now_s = time.time()
    return sts.make_oidc_token(
        issuer=issuer,
        subject=subject,
        audience=audience,
        issued_s=now_s,
        expires_s=now_s + lifetime_s,
    )


def assume(sim: Sim, **fields: str) -> Reply:
    return sim.rpc("AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "csi"} | fields, version=STS)


def assume_with_oidc(sim: Sim, **fields: str) -> Reply:
    values = {
        "Action": "AssumeRoleWithOIDC",
        "Version": STS,
        "RoleArn": ROLE,
        "RoleSessionName": "csi",
        "OIDCProviderArn": PROVIDER,
        "OIDCToken": token(),
    } | fields
    body = "&".join(f"{name}={value}" for name, value in values.items()).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return sim.http("POST", "/", headers=headers, body=body)


def as_session(sim: Sim, credentials: dict[str, str], **fields: str) -> Reply:
    key = (credentials["AccessKeyId"], credentials["AccessKeySecret"])
    values = {"SecurityToken": credentials["SecurityToken"]} | fields
    return sim.rpc("GetCallerIdentity", values, version=STS, key=key)


def test_the_sdk_learns_who_it_is(sim: Sim) -> None:
    caller = sim.sts().get_caller_identity().body

    assert caller.to_map() == {
        "AccountId": "1234567890123456",
        "Arn": "acs:ram::1234567890123456:user/simulated",
        "IdentityType": "RAMUser",
        "PrincipalId": "200000000000000001",
        "RequestId": caller.request_id,
        "UserId": "200000000000000001",
    }


def test_the_sdk_assumes_a_role_and_acts_as_it(sim: Sim) -> None:
    ask = models.AssumeRoleRequest(role_arn=ROLE, role_session_name="csi", duration_seconds=3600)

    made = sim.sts().assume_role(ask).body.credentials
    session = sim.sts(
        access_key_id=made.access_key_id,
        access_key_secret=made.access_key_secret,
        security_token=made.security_token,
    )
    caller = session.get_caller_identity().body

    assert caller.arn == "acs:ram::1234567890123456:assumed-role/csi-admin/csi"
    assert caller.principal_id == "300000000000000002:csi"
    assert caller.role_id == "300000000000000002"


def test_a_session_ends_when_its_time_is_over(sim: Sim) -> None:
    made = assume(sim, DurationSeconds="900").json["Credentials"]

    fresh = as_session(sim, made)
    sim.control("POST", "clock", {"advance_s": 901})
    late = as_session(sim, made)

    assert fresh.status == 200
    assert (late.status, late.code) == (403, "InvalidSecurityToken.Expired")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "MissingSecurityToken"),
        ("nonsense", "InvalidSecurityToken.Malformed"),
        ("CAISother", "InvalidSecurityToken.MismatchWithAccessKey"),
    ],
)
def test_a_session_needs_its_own_token(sim: Sim, given: str, code: str) -> None:
    made = assume(sim).json["Credentials"]

    assert as_session(sim, made, SecurityToken=given).code == code


def test_a_permanent_key_takes_no_token(sim: Sim) -> None:
    reply = sim.rpc("GetCallerIdentity", {"SecurityToken": "CAISx"}, version=STS)

    assert reply.code == "InvalidSecurityToken.MismatchWithAccessKey"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"RoleArn": ""}, 400, "MissingParameter"),
        ({"RoleArn": "csi-admin"}, 400, "InvalidParameter.RoleArn"),
        ({"RoleArn": ROLE + "-x"}, 404, "EntityNotExist.Role"),
        ({"RoleSessionName": ""}, 400, "MissingParameter"),
        ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "43201"}, 400, "InvalidParameter.DurationSeconds"),
        ({"Policy": "{"}, 400, "InvalidParameter.PolicyGrammar"),
        ({"Policy": '{"Version":"1"}'}, 400, "InvalidParameter.PolicyGrammar"),
    ],
)
def test_bad_requests_for_a_role_are_refused(
    sim: Sim, fields: dict[str, str], status: int, code: str
) -> None:
    reply = assume(sim, **fields)

    assert (reply.status, reply.code) == (status, code)


def test_a_role_that_does_not_trust_the_caller_is_not_assumed(sim: Sim) -> None:
    reply = assume(sim, RoleArn="acs:ram::1234567890123456:role/kubernetesworkerrole")

    assert (reply.status, reply.code) == (403, "NoPermission")


def test_the_account_itself_may_not_assume_roles(sim: Sim) -> None:
    key = {"access_key_id": "LTAIroot", "access_key_secret": "root-secret"}
    sim.control("POST", "ram", {"access_keys": [key]})

    values = {"RoleArn": ROLE, "RoleSessionName": "csi"}
    reply = sim.rpc("AssumeRole", values, version=STS, key=("LTAIroot", "root-secret"))

    assert reply.code == "NoPermission"


def test_oidc_needs_no_signature(sim: Sim) -> None:
    reply = assume_with_oidc(sim)

    assert reply.status == 200
    assert reply.json["OIDCTokenInfo"]["Subject"] == SUBJECT
    assert as_session(sim, reply.json["Credentials"]).status == 200


def test_the_sdk_provider_gets_credentials_for_a_service_account(
    sim: Sim, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "token"
    file.write_text(token())
    provider = OIDCRoleArnCredentialsProvider(
        role_arn=ROLE,
        oidc_provider_arn=PROVIDER,
        oidc_token_file_path=str(file),
        role_session_name="csi",
        sts_endpoint=f"http://{sim.endpoint}",
    )

    credentials = provider.get_credentials()

    assert credentials.get_access_key_id().startswith("STS.")
    (call,) = sim.calls("AssumeRoleWithOIDC")
    assert call["parameters"]["OIDCToken"] == "***"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("eyJ.x.y", "AuthenticationFail.OIDCToken.Invalid"),
        ("nonsense", "AuthenticationFail.OIDCToken.Invalid"),
        (token(lifetime_s=-1), "AuthenticationFail.OIDCToken.Expired"),
        (token(issuer="https://other"), "AuthenticationFail.OIDCToken.IssuerNotMatch"),
        (token(audience="other"), "AuthenticationFail.OIDCToken.AudienceNotMatch"),
        (token(subject="system:serviceaccount:default:x"), "AuthenticationFail.NoPermission"),
    ],
)
def test_a_token_that_does_not_fit_is_refused(sim: Sim, given: str, code: str) -> None:
    reply = assume_with_oidc(sim, OIDCToken=given)

    assert (reply.status, reply.code) == (400, code)


def test_a_token_expires_with_the_simulated_time(sim: Sim) -> None:
    given = token()
    sim.control("POST", "clock", {"advance_s": 3601})

    assert assume_with_oidc(sim, OIDCToken=given).code == "AuthenticationFail.OIDCToken.Expired"


def test_an_unknown_provider_is_refused(sim: Sim) -> None:
    reply = assume_with_oidc(sim, OIDCProviderArn=PROVIDER + "-x")

    assert reply.code == "AuthenticationFail.NoPermission"
    assert "No such OIDC Provider registered" in reply.json["Message"]


def test_the_command_prints_a_token_that_is_accepted(sim: Sim) -> None:
    command = [sys.executable, "-m", "sim", "oidc-token"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    assert assume_with_oidc(sim, OIDCToken=run.stdout.strip()).status == 200


def test_a_session_policy_narrows_the_role(sim: Sim) -> None:
    document = (
        '{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs:DescribeDisks",'
        '"Resource":"*"}]}'
    )
    ask = models.AssumeRoleRequest(role_arn=ROLE, role_session_name="csi", policy=document)
    made = sim.sts().assume_role(ask).body.credentials
    key = (made.access_key_id, made.access_key_secret)
    values = {"SecurityToken": made.security_token}

    assert sim.rpc("DescribeDisks", values, key=key).status == 200
    assert sim.rpc("DescribeInstances", values, key=key).code == "Forbidden.RAM"


def test_credentials_survive_a_kill(own_sim: Sim) -> None:
    made = assume(own_sim).json["Credentials"]

    own_sim.kill()
    own_sim.start()

    assert as_session(own_sim, made).status == 200


def test_the_sdk_reports_a_refusal_with_its_code(sim: Sim) -> None:
    ask = models.AssumeRoleRequest(role_arn=ROLE + "-x", role_session_name="csi")

    with pytest.raises(ClientException) as refused:
        sim.sts().assume_role(ask)

    assert (refused.value.code, refused.value.status_code) == ("EntityNotExist.Role", 404)
