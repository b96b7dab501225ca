import pytest

from cloud import errors as cloud_errors
from core import errors
from csi import identity
from csi._pb import csi_pb2


def service(failure=None):
    async def ready():
        if failure is not None:
            raise failure

    return identity.IdentityService(
        driver_name="d.example.com", version="1", services=[], expansions=[], ready=ready
    )


def cloud_error(code, status):
    return cloud_errors.make(action="GetCallerIdentity", code=code, status=status, message="no")


async def test_a_plug_in_that_can_work_is_ready():
    answer = await service().Probe(csi_pb2.ProbeRequest(), None)

    assert answer.ready.value is True


@pytest.mark.parametrize(
    "failure",
    [errors.Unavailable("away"), cloud_error("NoAnswer", 0), cloud_error("Throttling", 400)],
)
async def test_what_passes_by_itself_is_not_ready_rather_than_ill(failure):
    answer = await service(failure).Probe(csi_pb2.ProbeRequest(), None)

    assert answer.HasField("ready")
    assert answer.ready.value is False


@pytest.mark.parametrize(
    "failure",
    [errors.Unauthenticated("wrong key"), cloud_error("InvalidAccessKeyId.NotFound", 404)],
)
async def test_what_needs_a_person_is_ill(failure):
    with pytest.raises(errors.Precondition, match="cannot work"):
        await service(failure).Probe(csi_pb2.ProbeRequest(), None)
