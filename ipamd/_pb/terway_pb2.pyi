from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IPType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TypeVPCIP: _ClassVar[IPType]
    TypeVPCENI: _ClassVar[IPType]
    TypeENIMultiIP: _ClassVar[IPType]

class Error(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ErrNoErr: _ClassVar[Error]
    ErrCRDNotFound: _ClassVar[Error]

class EventTarget(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EventTargetNode: _ClassVar[EventTarget]
    EventTargetPod: _ClassVar[EventTarget]

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EventTypeNormal: _ClassVar[EventType]
    EventTypeWarning: _ClassVar[EventType]
TypeVPCIP: IPType
TypeVPCENI: IPType
TypeENIMultiIP: IPType
ErrNoErr: Error
ErrCRDNotFound: Error
EventTargetNode: EventTarget
EventTargetPod: EventTarget
EventTypeNormal: EventType
EventTypeWarning: EventType

class IPSet(_message.Message):
    __slots__ = ("IPv4", "IPv6")
    IPV4_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    IPv4: str
    IPv6: str
    def __init__(self, IPv4: _Optional[str] = ..., IPv6: _Optional[str] = ...) -> None: ...

class AllocIPRequest(_message.Message):
    __slots__ = ("K8sPodName", "K8sPodNamespace", "K8sPodInfraContainerId", "Netns", "IfName")
    K8SPODNAME_FIELD_NUMBER: _ClassVar[int]
    K8SPODNAMESPACE_FIELD_NUMBER: _ClassVar[int]
    K8SPODINFRACONTAINERID_FIELD_NUMBER: _ClassVar[int]
    NETNS_FIELD_NUMBER: _ClassVar[int]
    IFNAME_FIELD_NUMBER: _ClassVar[int]
    K8sPodName: str
    K8sPodNamespace: str
    K8sPodInfraContainerId: str
    Netns: str
    IfName: str
    def __init__(self, K8sPodName: _Optional[str] = ..., K8sPodNamespace: _Optional[str] = ..., K8sPodInfraContainerId: _Optional[str] = ..., Netns: _Optional[str] = ..., IfName: _Optional[str] = ...) -> None: ...

class AllocIPReply(_message.Message):
    __slots__ = ("Success", "IPType", "IPv4", "IPv6", "NetConfs")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    IPTYPE_FIELD_NUMBER: _ClassVar[int]
    IPV4_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    NETCONFS_FIELD_NUMBER: _ClassVar[int]
    Success: bool
    IPType: IPType
    IPv4: bool
    IPv6: bool
    NetConfs: _containers.RepeatedCompositeFieldContainer[NetConf]
    def __init__(self, Success: _Optional[bool] = ..., IPType: _Optional[_Union[IPType, str]] = ..., IPv4: _Optional[bool] = ..., IPv6: _Optional[bool] = ..., NetConfs: _Optional[_Iterable[_Union[NetConf, _Mapping]]] = ...) -> None: ...

class NetConf(_message.Message):
    __slots__ = ("BasicInfo", "ENIInfo", "Pod", "IfName", "ExtraRoutes", "DefaultRoute")
    BASICINFO_FIELD_NUMBER: _ClassVar[int]
    ENIINFO_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    IFNAME_FIELD_NUMBER: _ClassVar[int]
    EXTRAROUTES_FIELD_NUMBER: _ClassVar[int]
    DEFAULTROUTE_FIELD_NUMBER: _ClassVar[int]
    BasicInfo: BasicInfo
    ENIInfo: ENIInfo
    Pod: Pod
    IfName: str
    ExtraRoutes: _containers.RepeatedCompositeFieldContainer[Route]
    DefaultRoute: bool
    def __init__(self, BasicInfo: _Optional[_Union[BasicInfo, _Mapping]] = ..., ENIInfo: _Optional[_Union[ENIInfo, _Mapping]] = ..., Pod: _Optional[_Union[Pod, _Mapping]] = ..., IfName: _Optional[str] = ..., ExtraRoutes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., DefaultRoute: _Optional[bool] = ...) -> None: ...

class BasicInfo(_message.Message):
    __slots__ = ("PodIP", "PodCIDR", "GatewayIP", "ServiceCIDR")
    PODIP_FIELD_NUMBER: _ClassVar[int]
    PODCIDR_FIELD_NUMBER: _ClassVar[int]
    GATEWAYIP_FIELD_NUMBER: _ClassVar[int]
    SERVICECIDR_FIELD_NUMBER: _ClassVar[int]
    PodIP: IPSet
    PodCIDR: IPSet
    GatewayIP: IPSet
    ServiceCIDR: IPSet
    def __init__(self, PodIP: _Optional[_Union[IPSet, _Mapping]] = ..., PodCIDR: _Optional[_Union[IPSet, _Mapping]] = ..., GatewayIP: _Optional[_Union[IPSet, _Mapping]] = ..., ServiceCIDR: _Optional[_Union[IPSet, _Mapping]] = ...) -> None: ...

class ENIInfo(_message.Message):
    __slots__ = ("MAC", "Trunk", "Vid", "GatewayIP", "eRDMA", "VfId")
    MAC_FIELD_NUMBER: _ClassVar[int]
    TRUNK_FIELD_NUMBER: _ClassVar[int]
    VID_FIELD_NUMBER: _ClassVar[int]
    GATEWAYIP_FIELD_NUMBER: _ClassVar[int]
    ERDMA_FIELD_NUMBER: _ClassVar[int]
    VFID_FIELD_NUMBER: _ClassVar[int]
    MAC: str
    Trunk: bool
    Vid: int
    GatewayIP: IPSet
    eRDMA: bool
    VfId: int
    def __init__(self, MAC: _Optional[str] = ..., Trunk: _Optional[bool] = ..., Vid: _Optional[int] = ..., GatewayIP: _Optional[_Union[IPSet, _Mapping]] = ..., eRDMA: _Optional[bool] = ..., VfId: _Optional[int] = ...) -> None: ...

class Pod(_message.Message):
    __slots__ = ("Ingress", "Egress", "NetworkPriority")
    INGRESS_FIELD_NUMBER: _ClassVar[int]
    EGRESS_FIELD_NUMBER: _ClassVar[int]
    NETWORKPRIORITY_FIELD_NUMBER: _ClassVar[int]
    Ingress: int
    Egress: int
    NetworkPriority: str
    def __init__(self, Ingress: _Optional[int] = ..., Egress: _Optional[int] = ..., NetworkPriority: _Optional[str] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("Dst",)
    DST_FIELD_NUMBER: _ClassVar[int]
    Dst: str
    def __init__(self, Dst: _Optional[str] = ...) -> None: ...

class ReleaseIPRequest(_message.Message):
    __slots__ = ("K8sPodName", "K8sPodNamespace", "K8sPodInfraContainerId", "IPType", "IPv4Addr", "MacAddr", "Reason")
    K8SPODNAME_FIELD_NUMBER: _ClassVar[int]
    K8SPODNAMESPACE_FIELD_NUMBER: _ClassVar[int]
    K8SPODINFRACONTAINERID_FIELD_NUMBER: _ClassVar[int]
    IPTYPE_FIELD_NUMBER: _ClassVar[int]
    IPV4ADDR_FIELD_NUMBER: _ClassVar[int]
    MACADDR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    K8sPodName: str
    K8sPodNamespace: str
    K8sPodInfraContainerId: str
    IPType: IPType
    IPv4Addr: IPSet
    MacAddr: str
    Reason: str
    def __init__(self, K8sPodName: _Optional[str] = ..., K8sPodNamespace: _Optional[str] = ..., K8sPodInfraContainerId: _Optional[str] = ..., IPType: _Optional[_Union[IPType, str]] = ..., IPv4Addr: _Optional[_Union[IPSet, _Mapping]] = ..., MacAddr: _Optional[str] = ..., Reason: _Optional[str] = ...) -> None: ...

class ReleaseIPReply(_message.Message):
    __slots__ = ("Success", "IPv4Addr", "DeviceNumber", "IPv4", "IPv6")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    IPV4ADDR_FIELD_NUMBER: _ClassVar[int]
    DEVICENUMBER_FIELD_NUMBER: _ClassVar[int]
    IPV4_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    Success: bool
    IPv4Addr: IPSet
    DeviceNumber: int
    IPv4: bool
    IPv6: bool
    def __init__(self, Success: _Optional[bool] = ..., IPv4Addr: _Optional[_Union[IPSet, _Mapping]] = ..., DeviceNumber: _Optional[int] = ..., IPv4: _Optional[bool] = ..., IPv6: _Optional[bool] = ...) -> None: ...

class GetInfoRequest(_message.Message):
    __slots__ = ("K8sPodName", "K8sPodNamespace", "K8sPodInfraContainerId")
    K8SPODNAME_FIELD_NUMBER: _ClassVar[int]
    K8SPODNAMESPACE_FIELD_NUMBER: _ClassVar[int]
    K8SPODINFRACONTAINERID_FIELD_NUMBER: _ClassVar[int]
    K8sPodName: str
    K8sPodNamespace: str
    K8sPodInfraContainerId: str
    def __init__(self, K8sPodName: _Optional[str] = ..., K8sPodNamespace: _Optional[str] = ..., K8sPodInfraContainerId: _Optional[str] = ...) -> None: ...

class GetInfoReply(_message.Message):
    __slots__ = ("IPType", "Success", "IPv4", "IPv6", "NetConfs", "Error")
    IPTYPE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    IPV4_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    NETCONFS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    IPType: IPType
    Success: bool
    IPv4: bool
    IPv6: bool
    NetConfs: _containers.RepeatedCompositeFieldContainer[NetConf]
    Error: Error
    def __init__(self, IPType: _Optional[_Union[IPType, str]] = ..., Success: _Optional[bool] = ..., IPv4: _Optional[bool] = ..., IPv6: _Optional[bool] = ..., NetConfs: _Optional[_Iterable[_Union[NetConf, _Mapping]]] = ..., Error: _Optional[_Union[Error, str]] = ...) -> None: ...

class EventRequest(_message.Message):
    __slots__ = ("EventTarget", "K8sPodName", "K8sPodNamespace", "EventType", "Reason", "Message")
    EVENTTARGET_FIELD_NUMBER: _ClassVar[int]
    K8SPODNAME_FIELD_NUMBER: _ClassVar[int]
    K8SPODNAMESPACE_FIELD_NUMBER: _ClassVar[int]
    EVENTTYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EventTarget: EventTarget
    K8sPodName: str
    K8sPodNamespace: str
    EventType: EventType
    Reason: str
    Message: str
    def __init__(self, EventTarget: _Optional[_Union[EventTarget, str]] = ..., K8sPodName: _Optional[str] = ..., K8sPodNamespace: _Optional[str] = ..., EventType: _Optional[_Union[EventType, str]] = ..., Reason: _Optional[str] = ..., Message: _Optional[str] = ...) -> None: ...

class EventReply(_message.Message):
    __slots__ = ("Succeed", "Error")
    SUCCEED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    Succeed: bool
    Error: str
    def __init__(self, Succeed: _Optional[bool] = ..., Error: _Optional[str] = ...) -> None: ...

class Placeholder(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResourcesTypesReply(_message.Message):
    __slots__ = ("TypeNames",)
    TYPENAMES_FIELD_NUMBER: _ClassVar[int]
    TypeNames: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, TypeNames: _Optional[_Iterable[str]] = ...) -> None: ...

class ResourceTypeRequest(_message.Message):
    __slots__ = ("Name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    Name: str
    def __init__(self, Name: _Optional[str] = ...) -> None: ...

class ResourcesReply(_message.Message):
    __slots__ = ("ResourceNames",)
    RESOURCENAMES_FIELD_NUMBER: _ClassVar[int]
    ResourceNames: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ResourceNames: _Optional[_Iterable[str]] = ...) -> None: ...

class ResourceTypeNameRequest(_message.Message):
    __slots__ = ("Type", "Name")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    Type: str
    Name: str
    def __init__(self, Type: _Optional[str] = ..., Name: _Optional[str] = ...) -> None: ...

class MapKeyValueEntry(_message.Message):
    __slots__ = ("Key", "Value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    Key: str
    Value: str
    def __init__(self, Key: _Optional[str] = ..., Value: _Optional[str] = ...) -> None: ...

class ResourceConfigReply(_message.Message):
    __slots__ = ("Config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    Config: _containers.RepeatedCompositeFieldContainer[MapKeyValueEntry]
    def __init__(self, Config: _Optional[_Iterable[_Union[MapKeyValueEntry, _Mapping]]] = ...) -> None: ...

class ResourceTraceReply(_message.Message):
    __slots__ = ("Trace",)
    TRACE_FIELD_NUMBER: _ClassVar[int]
    Trace: _containers.RepeatedCompositeFieldContainer[MapKeyValueEntry]
    def __init__(self, Trace: _Optional[_Iterable[_Union[MapKeyValueEntry, _Mapping]]] = ...) -> None: ...

class ResourceExecuteRequest(_message.Message):
    __slots__ = ("Type", "Name", "Command", "Args")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    Type: str
    Name: str
    Command: str
    Args: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, Type: _Optional[str] = ..., Name: _Optional[str] = ..., Command: _Optional[str] = ..., Args: _Optional[_Iterable[str]] = ...) -> None: ...

class ResourceExecuteReply(_message.Message):
    __slots__ = ("Message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    Message: str
    def __init__(self, Message: _Optional[str] = ...) -> None: ...

class ResourceMappingReply(_message.Message):
    __slots__ = ("info", "resource_db")
    INFO_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_DB_FIELD_NUMBER: _ClassVar[int]
    info: _containers.RepeatedCompositeFieldContainer[ResourceMapping]
    resource_db: _containers.RepeatedCompositeFieldContainer[ResourceDBEntry]
    def __init__(self, info: _Optional[_Iterable[_Union[ResourceMapping, _Mapping]]] = ..., resource_db: _Optional[_Iterable[_Union[ResourceDBEntry, _Mapping]]] = ...) -> None: ...

class ResourceMapping(_message.Message):
    __slots__ = ("NetworkInterfaceID", "MAC", "Type", "AllocInhibitExpireAt", "Status", "Info", "ipv4_prefixes", "ipv6_prefixes")
    NETWORKINTERFACEID_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ALLOCINHIBITEXPIREAT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    IPV4_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    IPV6_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    NetworkInterfaceID: str
    MAC: str
    Type: str
    AllocInhibitExpireAt: str
    Status: str
    Info: _containers.RepeatedScalarFieldContainer[str]
    ipv4_prefixes: _containers.RepeatedCompositeFieldContainer[PrefixInfo]
    ipv6_prefixes: _containers.RepeatedCompositeFieldContainer[PrefixInfo]
    def __init__(self, NetworkInterfaceID: _Optional[str] = ..., MAC: _Optional[str] = ..., Type: _Optional[str] = ..., AllocInhibitExpireAt: _Optional[str] = ..., Status: _Optional[str] = ..., Info: _Optional[_Iterable[str]] = ..., ipv4_prefixes: _Optional[_Iterable[_Union[PrefixInfo, _Mapping]]] = ..., ipv6_prefixes: _Optional[_Iterable[_Union[PrefixInfo, _Mapping]]] = ...) -> None: ...

class PrefixInfo(_message.Message):
    __slots__ = ("prefix", "status", "total", "used", "available", "allocations")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    status: str
    total: int
    used: int
    available: int
    allocations: _containers.RepeatedCompositeFieldContainer[PrefixAllocation]
    def __init__(self, prefix: _Optional[str] = ..., status: _Optional[str] = ..., total: _Optional[int] = ..., used: _Optional[int] = ..., available: _Optional[int] = ..., allocations: _Optional[_Iterable[_Union[PrefixAllocation, _Mapping]]] = ...) -> None: ...

class PrefixAllocation(_message.Message):
    __slots__ = ("ip", "pod_id")
    IP_FIELD_NUMBER: _ClassVar[int]
    POD_ID_FIELD_NUMBER: _ClassVar[int]
    ip: str
    pod_id: str
    def __init__(self, ip: _Optional[str] = ..., pod_id: _Optional[str] = ...) -> None: ...

class ResourceDBEntry(_message.Message):
    __slots__ = ("pod_name", "pod_namespace", "eni_id", "eni_mac", "ipv4", "ipv6", "type")
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    POD_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ENI_ID_FIELD_NUMBER: _ClassVar[int]
    ENI_MAC_FIELD_NUMBER: _ClassVar[int]
    IPV4_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    pod_name: str
    pod_namespace: str
    eni_id: str
    eni_mac: str
    ipv4: str
    ipv6: str
    type: str
    def __init__(self, pod_name: _Optional[str] = ..., pod_namespace: _Optional[str] = ..., eni_id: _Optional[str] = ..., eni_mac: _Optional[str] = ..., ipv4: _Optional[str] = ..., ipv6: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...
