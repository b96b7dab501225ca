"""Why an attachment is refused, or not as it should be."""

from collections.abc import Iterable

from core import errors
from ipamd import model
from ipamd.cni import cni_error
from ipamd.datapath import model as datapath_model


class NoAttachment(cni_error.CniError):
    """CHECK of something that was never added, or is gone."""

    def __init__(self, key: model.AttachmentKey) -> None:
        super().__init__(
            cni_error.UNKNOWN_CONTAINER, f"there is no attachment {key}", "run ADD first"
        )


class PodRefused(cni_error.CniError):
    """The pod asks for what cannot be had here."""

    def __init__(self, why: str) -> None:
        super().__init__(cni_error.TRY_AGAIN_LATER, "no address for this pod", why)


class LinkTaken(errors.Precondition):
    """Two pods have one name of their links, and nobody may choose another one."""

    def __init__(self, ifname: str, holder: model.Pod, asking: model.Pod) -> None:
        super().__init__(
            f"the link of {asking} would be {ifname}, which {holder} has on this node; "
            "rename one of the two, or run it on another node"
        )


class CheckFailed(cni_error.CniError):
    """CHECK found differences."""

    def __init__(self, differences: Iterable[datapath_model.Difference]) -> None:
        told = "; ".join(
            f"{each.where}: {each.what}: expected {each.expected}, found {each.found}"
            for each in differences
        )
        super().__init__(cni_error.CHECK_FAILED, "the network is not as ADD made it", told)
