from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CniRequest(_message.Message):
    __slots__ = ("container_id", "netns", "ifname", "args", "path", "config", "client_version")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    NETNS_FIELD_NUMBER: _ClassVar[int]
    IFNAME_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CLIENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    netns: str
    ifname: str
    args: str
    path: str
    config: bytes
    client_version: str
    def __init__(self, container_id: _Optional[str] = ..., netns: _Optional[str] = ..., ifname: _Optional[str] = ..., args: _Optional[str] = ..., path: _Optional[str] = ..., config: _Optional[bytes] = ..., client_version: _Optional[str] = ...) -> None: ...

class CniReply(_message.Message):
    __slots__ = ("exit_status", "stdout")
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    exit_status: int
    stdout: bytes
    def __init__(self, exit_status: _Optional[int] = ..., stdout: _Optional[bytes] = ...) -> None: ...

class GetPoolRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPoolReply(_message.Message):
    __slots__ = ("enis", "total", "warm", "cooling", "leased", "capacity", "min_free", "max_free", "waiting", "growth_blocked")
    ENIS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    COOLING_FIELD_NUMBER: _ClassVar[int]
    LEASED_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    MIN_FREE_FIELD_NUMBER: _ClassVar[int]
    MAX_FREE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    GROWTH_BLOCKED_FIELD_NUMBER: _ClassVar[int]
    enis: _containers.RepeatedCompositeFieldContainer[Eni]
    total: int
    warm: int
    cooling: int
    leased: int
    capacity: int
    min_free: int
    max_free: int
    waiting: int
    growth_blocked: str
    def __init__(self, enis: _Optional[_Iterable[_Union[Eni, _Mapping]]] = ..., total: _Optional[int] = ..., warm: _Optional[int] = ..., cooling: _Optional[int] = ..., leased: _Optional[int] = ..., capacity: _Optional[int] = ..., min_free: _Optional[int] = ..., max_free: _Optional[int] = ..., waiting: _Optional[int] = ..., growth_blocked: _Optional[str] = ...) -> None: ...

class Eni(_message.Message):
    __slots__ = ("eni_id", "mac", "vswitch_id", "state", "ifname", "addresses")
    ENI_ID_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    VSWITCH_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IFNAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    eni_id: str
    mac: str
    vswitch_id: str
    state: str
    ifname: str
    addresses: _containers.RepeatedCompositeFieldContainer[Address]
    def __init__(self, eni_id: _Optional[str] = ..., mac: _Optional[str] = ..., vswitch_id: _Optional[str] = ..., state: _Optional[str] = ..., ifname: _Optional[str] = ..., addresses: _Optional[_Iterable[_Union[Address, _Mapping]]] = ...) -> None: ...

class Address(_message.Message):
    __slots__ = ("ip", "state", "pod", "state_age_s")
    IP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    STATE_AGE_S_FIELD_NUMBER: _ClassVar[int]
    ip: str
    state: str
    pod: str
    state_age_s: float
    def __init__(self, ip: _Optional[str] = ..., state: _Optional[str] = ..., pod: _Optional[str] = ..., state_age_s: _Optional[float] = ...) -> None: ...

class ListAttachmentsRequest(_message.Message):
    __slots__ = ("pod_namespace", "pod_name")
    POD_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    pod_namespace: str
    pod_name: str
    def __init__(self, pod_namespace: _Optional[str] = ..., pod_name: _Optional[str] = ...) -> None: ...

class ListAttachmentsReply(_message.Message):
    __slots__ = ("attachments",)
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    attachments: _containers.RepeatedCompositeFieldContainer[Attachment]
    def __init__(self, attachments: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ...) -> None: ...

class Attachment(_message.Message):
    __slots__ = ("network", "container_id", "ifname", "pod_namespace", "pod_name", "netns", "ipv4", "eni_id", "host_ifname", "age_s")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    IFNAME_FIELD_NUMBER: _ClassVar[int]
    POD_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    NETNS_FIELD_NUMBER: _ClassVar[int]
    IPV4_FIELD_NUMBER: _ClassVar[int]
    ENI_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_IFNAME_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    network: str
    container_id: str
    ifname: str
    pod_namespace: str
    pod_name: str
    netns: str
    ipv4: str
    eni_id: str
    host_ifname: str
    age_s: float
    def __init__(self, network: _Optional[str] = ..., container_id: _Optional[str] = ..., ifname: _Optional[str] = ..., pod_namespace: _Optional[str] = ..., pod_name: _Optional[str] = ..., netns: _Optional[str] = ..., ipv4: _Optional[str] = ..., eni_id: _Optional[str] = ..., host_ifname: _Optional[str] = ..., age_s: _Optional[float] = ...) -> None: ...

class DiagnoseRequest(_message.Message):
    __slots__ = ("pod_namespace", "pod_name")
    POD_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    pod_namespace: str
    pod_name: str
    def __init__(self, pod_namespace: _Optional[str] = ..., pod_name: _Optional[str] = ...) -> None: ...

class DiagnoseReply(_message.Message):
    __slots__ = ("findings",)
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    def __init__(self, findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("severity", "subject", "message", "advice")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OK: _ClassVar[Finding.Severity]
        WARNING: _ClassVar[Finding.Severity]
        ERROR: _ClassVar[Finding.Severity]
    OK: Finding.Severity
    WARNING: Finding.Severity
    ERROR: Finding.Severity
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    severity: Finding.Severity
    subject: str
    message: str
    advice: str
    def __init__(self, severity: _Optional[_Union[Finding.Severity, str]] = ..., subject: _Optional[str] = ..., message: _Optional[str] = ..., advice: _Optional[str] = ...) -> None: ...
