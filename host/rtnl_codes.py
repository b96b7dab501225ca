"""Numbers and layouts of the routing family's messages.

Source: <linux/rtnetlink.h>, <linux/if_link.h>, <linux/veth.h>, <linux/if_addr.h>,
<linux/fib_rules.h>, <linux/neighbour.h>, <linux/pkt_sched.h>, <linux/ip.h>.
"""

import ipaddress
import struct

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTMGRP_LINK = 1

# Bodies. After each of these come the attributes.
LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, changed flags
ADDRESS = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
ROUTE = struct.Struct(
    "=BBBBBBBBI"
)  # family, dst len, src len, tos, table, proto, scope, type, flags
RULE = struct.Struct("=BBBBBxxBI")  # family, dst len, src len, tos, table, action, flags
NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
QDISC = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
TBF = struct.Struct("=BBHhHI12xIII")
"""tc_tbf_qopt: cell log, link layer, overhead, cell align, mpu, rate; limit, buffer, mtu."""
U32 = struct.Struct("=I")
U64 = struct.Struct("=Q")
U32_MAX = 0xFFFFFFFF

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_QDISC = 1, 3, 4, 5, 6
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_NET_NS_FD, IFLA_EXT_MASK = 18, 20, 26, 28, 29
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFLA_INET_CONF, DEVCONF_FORWARDING, DEVCONF_RP_FILTER = 1, 1, 8
IFF_UP = 1
EXT_SKIP_STATS = 8

IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_NODAD = 2
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_NOWHERE = 0, 253, 255

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_TABLE = 1, 4, 5, 15
RT_TABLE_MAIN = 254
TABLE_SHORT_MAX = 255
"""Above, a table's number fits only an attribute, and its field is 0."""
RTPROT_BOOT = 3
RTN_UNICAST = 1
RTNH_F_ONLINK = 4

FRA_DST, FRA_SRC, FRA_PRIORITY, FRA_TABLE = 1, 2, 6, 15
FR_ACT_TO_TBL = 1

NDA_DST, NDA_LLADDR, NDA_IFINDEX = 1, 2, 8
NUD_PERMANENT = 0x80

TCA_KIND, TCA_OPTIONS = 1, 2
TCA_TBF_PARMS, TCA_TBF_RATE64, TCA_TBF_BURST = 1, 4, 6
TC_H_ROOT = 0xFFFFFFFF
LINKLAYER_ETHERNET = 1
QDISC_HANDLE = 0x10000
"""`1:`, the handle of a root queue."""
