"""Calls to the hardware, for actions and for settlers; nothing happens when there is none."""

from collections.abc import Callable

import structlog

from sim import cloud as cloud_module
from sim import errors
from sim.hardware import api

log = structlog.get_logger()

RETRY_S = 0.25
"""Simulated seconds until a settler asks the hardware again."""


def act(cloud: cloud_module.Cloud, do: Callable[[api.Hardware], object]) -> None:
    """Run *do* now, in an action; a failure becomes 500 InternalError and undoes the action."""
    if cloud.hardware is None:
        return
    try:
        do(cloud.hardware)
    except api.HardwareError as e:
        log.warning("hardware refused", error=str(e))
        raise errors.ApiError("InternalError", 500, str(e)) from e


def settle(cloud: cloud_module.Cloud, do: Callable[[api.Hardware], object]) -> bool:
    """Run *do* in a settler; False when it failed or answered False, so that it is tried again."""
    if cloud.hardware is None:
        return True
    try:
        return do(cloud.hardware) is not False
    except api.HardwareError as e:
        log.warning("hardware failed, trying again", error=str(e), retry_s=RETRY_S)
        return False
