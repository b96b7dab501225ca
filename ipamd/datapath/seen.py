"""What the kernel holds of one link, read for comparing."""

import dataclasses
from collections.abc import Sequence

from host import netlink, rtnl_codes, rtnl_read


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A link and what belongs to it, in one namespace."""

    link: rtnl_read.Link | None
    addresses: Sequence[rtnl_read.LinkAddress] = ()
    routes: Sequence[rtnl_read.Route] = ()
    neighbours: Sequence[rtnl_read.Neighbour] = ()
    bucket: rtnl_read.Bucket | None = None


def read(
    asking: netlink.Socket,
    link: rtnl_read.Link | None,
    families: Sequence[int],
    *,
    table: int = rtnl_codes.RT_TABLE_MAIN,
    neighbours: bool = False,
) -> Seen:
    """What belongs to *link*. table: of the routes. neighbours: whether to read those, too."""
    if link is None:
        return Seen(link=None)
    return Seen(
        link=link,
        addresses=[
            address
            for family in families
            for address in rtnl_read.read_addresses(asking, link.index, family)
        ],
        routes=[
            route
            for family in families
            for route in rtnl_read.read_routes(asking, family, table=table, index=link.index)
        ],
        neighbours=[
            neighbour
            for family in families
            for neighbour in rtnl_read.read_neighbours(asking, link.index, family)
        ]
        if neighbours
        else (),
        bucket=rtnl_read.read_bucket(asking, link.index) if link.qdisc == "tbf" else None,
    )
