"""What CHECK compares besides the kernel. Pure."""

from ipamd import model
from ipamd.cni import cni_config, cni_error
from ipamd.datapath import model as datapath_model


def require_previous(config: cni_config.NetworkConfig, lease: model.Lease) -> None:
    """CHECK's prevResult must name the address we gave. Source: CNI specification, "CHECK"."""
    if config.previous is None:
        raise cni_error.CniError(
            cni_error.INVALID_CONFIG, "prevResult is missing", "CHECK needs the result of ADD"
        )
    told = [str(each.get("address", "")) for each in config.previous.get("ips") or []]
    if f"{lease.ipv4}/32" not in told:
        raise cni_error.CniError(
            cni_error.CHECK_FAILED,
            f"prevResult does not name {lease.ipv4}/32",
            f"it names {', '.join(told) or 'no address'}",
        )


def taken_away(lease: model.Lease) -> datapath_model.Difference:
    """The cloud does not have the address of *lease* any more."""
    return datapath_model.Difference(
        where="node",
        what=f"address {lease.ipv4}",
        expected=f"on interface {lease.eni_id}",
        found="taken away by somebody",
    )
