"""Parameters that all Describe calls of ECS share: id lists, creation time filters, dry runs."""

from sim import clock, errors
from sim import params as params_module


def id_filter(params: params_module.Params, name: str, *, maximum: int) -> frozenset[str] | None:
    """Ids of a JSON list parameter; None when it is absent, which filters nothing.

    An empty list lets nothing pass: the API pages of DescribeDisks and DescribeInstances.
    400 InvalidParameter for more than *maximum* ids or for a value that is no list of strings.
    """
    ids = params.json_strings(name)
    if ids is None:
        return None
    if len(ids) > maximum:
        raise errors.invalid_parameter(name, f"{len(ids)} ids", f"up to {maximum} ids")
    return frozenset(ids)


def refuse_dry_run(params: params_module.Params) -> None:
    """400 DryRunOperation: the answer to a request that would have passed."""
    if params.boolean("DryRun"):
        raise dry_run_passed()


def dry_run_passed() -> errors.ApiError:
    """400 DryRunOperation."""
    return errors.ApiError(
        "DryRunOperation", 400, "Request validation has been passed with DryRun flag set."
    )


def created_in(params: params_module.Params, creation_time: str) -> bool:
    """Whether the row passes `Filter.N` CreationStartTime and CreationEndTime (both inclusive)."""
    at_s = clock.parse(creation_time)
    for item in params.structs("Filter"):
        key, limit_s = item.get("Key", ""), clock.parse(item.get("Value", ""))
        if key not in {"CreationStartTime", "CreationEndTime"} or limit_s is None:
            raise errors.invalid_parameter(
                "Filter.N",
                f"{key}={item.get('Value', '')}",
                "CreationStartTime or CreationEndTime with a time like 2026-01-01T00:00Z",
            )
        if at_s is None or (at_s < limit_s if key == "CreationStartTime" else at_s > limit_s):
            return False
    return True
