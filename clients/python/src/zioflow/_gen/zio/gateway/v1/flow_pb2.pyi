from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_EXTRACT: _ClassVar[Direction]
    DIRECTION_INJECT: _ClassVar[Direction]

class EndReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_REASON_UNSPECIFIED: _ClassVar[EndReason]
    END_REASON_COMPLETED: _ClassVar[EndReason]
    END_REASON_REJECTED: _ClassVar[EndReason]
    END_REASON_NO_HANDLER: _ClassVar[EndReason]
    END_REASON_HANDLER_TIMEOUT: _ClassVar[EndReason]
    END_REASON_PEER_GONE: _ClassVar[EndReason]
    END_REASON_CREDIT_VIOLATION: _ClassVar[EndReason]
    END_REASON_PROTOCOL_ERROR: _ClassVar[EndReason]
    END_REASON_MESSAGE_TOO_LARGE: _ClassVar[EndReason]
    END_REASON_OVERRUN: _ClassVar[EndReason]
    END_REASON_IDLE_TIMEOUT: _ClassVar[EndReason]
    END_REASON_EOT_TIMEOUT: _ClassVar[EndReason]
    END_REASON_ENDED_BY_ADMIN: _ClassVar[EndReason]
    END_REASON_RESTARTED: _ClassVar[EndReason]
    END_REASON_DRAINING: _ClassVar[EndReason]
    END_REASON_OVERLOADED: _ClassVar[EndReason]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_EXTRACT: Direction
DIRECTION_INJECT: Direction
END_REASON_UNSPECIFIED: EndReason
END_REASON_COMPLETED: EndReason
END_REASON_REJECTED: EndReason
END_REASON_NO_HANDLER: EndReason
END_REASON_HANDLER_TIMEOUT: EndReason
END_REASON_PEER_GONE: EndReason
END_REASON_CREDIT_VIOLATION: EndReason
END_REASON_PROTOCOL_ERROR: EndReason
END_REASON_MESSAGE_TOO_LARGE: EndReason
END_REASON_OVERRUN: EndReason
END_REASON_IDLE_TIMEOUT: EndReason
END_REASON_EOT_TIMEOUT: EndReason
END_REASON_ENDED_BY_ADMIN: EndReason
END_REASON_RESTARTED: EndReason
END_REASON_DRAINING: EndReason
END_REASON_OVERLOADED: EndReason

class Bot(_message.Message):
    __slots__ = ("label", "payload", "origin", "granule", "seqno", "level", "direction", "credit", "cid", "attributes", "flow_id", "taken_by", "left_out")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    GRANULE_FIELD_NUMBER: _ClassVar[int]
    SEQNO_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    CID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    FLOW_ID_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BY_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    label: str
    payload: _containers.RepeatedScalarFieldContainer[bytes]
    origin: int
    granule: int
    seqno: int
    level: int
    direction: Direction
    credit: int
    cid: int
    attributes: _struct_pb2.Struct
    flow_id: int
    taken_by: TakenBy
    left_out: LeftOut
    def __init__(self, label: _Optional[str] = ..., payload: _Optional[_Iterable[bytes]] = ..., origin: _Optional[int] = ..., granule: _Optional[int] = ..., seqno: _Optional[int] = ..., level: _Optional[int] = ..., direction: _Optional[_Union[Direction, str]] = ..., credit: _Optional[int] = ..., cid: _Optional[int] = ..., attributes: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., flow_id: _Optional[int] = ..., taken_by: _Optional[_Union[TakenBy, _Mapping]] = ..., left_out: _Optional[_Union[LeftOut, _Mapping]] = ...) -> None: ...

class TakenBy(_message.Message):
    __slots__ = ("route", "transport", "address", "identity", "name", "node")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    route: str
    transport: str
    address: str
    identity: str
    name: str
    node: str
    def __init__(self, route: _Optional[str] = ..., transport: _Optional[str] = ..., address: _Optional[str] = ..., identity: _Optional[str] = ..., name: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

class LeftOut(_message.Message):
    __slots__ = ("payload_bytes", "payload_parts", "label_bytes", "attributes_count", "attributes_bytes", "attributes")
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_PARTS_FIELD_NUMBER: _ClassVar[int]
    LABEL_BYTES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_COUNT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_BYTES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    payload_bytes: int
    payload_parts: int
    label_bytes: int
    attributes_count: int
    attributes_bytes: int
    attributes: _containers.RepeatedCompositeFieldContainer[UnshownAttribute]
    def __init__(self, payload_bytes: _Optional[int] = ..., payload_parts: _Optional[int] = ..., label_bytes: _Optional[int] = ..., attributes_count: _Optional[int] = ..., attributes_bytes: _Optional[int] = ..., attributes: _Optional[_Iterable[_Union[UnshownAttribute, _Mapping]]] = ...) -> None: ...

class UnshownAttribute(_message.Message):
    __slots__ = ("name", "why", "bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    why: str
    bytes: int
    def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class Pay(_message.Message):
    __slots__ = ("label", "payload", "origin", "granule", "seqno", "level", "credit")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    GRANULE_FIELD_NUMBER: _ClassVar[int]
    SEQNO_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    label: str
    payload: _containers.RepeatedScalarFieldContainer[bytes]
    origin: int
    granule: int
    seqno: int
    level: int
    credit: int
    def __init__(self, label: _Optional[str] = ..., payload: _Optional[_Iterable[bytes]] = ..., origin: _Optional[int] = ..., granule: _Optional[int] = ..., seqno: _Optional[int] = ..., level: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class Dat(_message.Message):
    __slots__ = ("label", "payload", "origin", "granule", "seqno", "level")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    GRANULE_FIELD_NUMBER: _ClassVar[int]
    SEQNO_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    label: str
    payload: _containers.RepeatedScalarFieldContainer[bytes]
    origin: int
    granule: int
    seqno: int
    level: int
    def __init__(self, label: _Optional[str] = ..., payload: _Optional[_Iterable[bytes]] = ..., origin: _Optional[int] = ..., granule: _Optional[int] = ..., seqno: _Optional[int] = ..., level: _Optional[int] = ...) -> None: ...

class Eot(_message.Message):
    __slots__ = ("label", "payload", "origin", "granule", "seqno", "level", "reason", "detail")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    GRANULE_FIELD_NUMBER: _ClassVar[int]
    SEQNO_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    label: str
    payload: _containers.RepeatedScalarFieldContainer[bytes]
    origin: int
    granule: int
    seqno: int
    level: int
    reason: EndReason
    detail: str
    def __init__(self, label: _Optional[str] = ..., payload: _Optional[_Iterable[bytes]] = ..., origin: _Optional[int] = ..., granule: _Optional[int] = ..., seqno: _Optional[int] = ..., level: _Optional[int] = ..., reason: _Optional[_Union[EndReason, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class OpenRequest(_message.Message):
    __slots__ = ("bot", "pay", "dat", "eot")
    BOT_FIELD_NUMBER: _ClassVar[int]
    PAY_FIELD_NUMBER: _ClassVar[int]
    DAT_FIELD_NUMBER: _ClassVar[int]
    EOT_FIELD_NUMBER: _ClassVar[int]
    bot: Bot
    pay: Pay
    dat: Dat
    eot: Eot
    def __init__(self, bot: _Optional[_Union[Bot, _Mapping]] = ..., pay: _Optional[_Union[Pay, _Mapping]] = ..., dat: _Optional[_Union[Dat, _Mapping]] = ..., eot: _Optional[_Union[Eot, _Mapping]] = ...) -> None: ...

class OpenResponse(_message.Message):
    __slots__ = ("bot", "pay", "dat", "eot")
    BOT_FIELD_NUMBER: _ClassVar[int]
    PAY_FIELD_NUMBER: _ClassVar[int]
    DAT_FIELD_NUMBER: _ClassVar[int]
    EOT_FIELD_NUMBER: _ClassVar[int]
    bot: Bot
    pay: Pay
    dat: Dat
    eot: Eot
    def __init__(self, bot: _Optional[_Union[Bot, _Mapping]] = ..., pay: _Optional[_Union[Pay, _Mapping]] = ..., dat: _Optional[_Union[Dat, _Mapping]] = ..., eot: _Optional[_Union[Eot, _Mapping]] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("bot", "dat", "eot")
    BOT_FIELD_NUMBER: _ClassVar[int]
    DAT_FIELD_NUMBER: _ClassVar[int]
    EOT_FIELD_NUMBER: _ClassVar[int]
    bot: Bot
    dat: Dat
    eot: Eot
    def __init__(self, bot: _Optional[_Union[Bot, _Mapping]] = ..., dat: _Optional[_Union[Dat, _Mapping]] = ..., eot: _Optional[_Union[Eot, _Mapping]] = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ("flow_id", "bot", "messages", "bytes", "reason", "eot_label", "taken_by")
    FLOW_ID_FIELD_NUMBER: _ClassVar[int]
    BOT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EOT_LABEL_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BY_FIELD_NUMBER: _ClassVar[int]
    flow_id: int
    bot: Bot
    messages: int
    bytes: int
    reason: EndReason
    eot_label: str
    taken_by: TakenBy
    def __init__(self, flow_id: _Optional[int] = ..., bot: _Optional[_Union[Bot, _Mapping]] = ..., messages: _Optional[int] = ..., bytes: _Optional[int] = ..., reason: _Optional[_Union[EndReason, str]] = ..., eot_label: _Optional[str] = ..., taken_by: _Optional[_Union[TakenBy, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("bot",)
    BOT_FIELD_NUMBER: _ClassVar[int]
    bot: Bot
    def __init__(self, bot: _Optional[_Union[Bot, _Mapping]] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("bot", "dat", "eot")
    BOT_FIELD_NUMBER: _ClassVar[int]
    DAT_FIELD_NUMBER: _ClassVar[int]
    EOT_FIELD_NUMBER: _ClassVar[int]
    bot: Bot
    dat: Dat
    eot: Eot
    def __init__(self, bot: _Optional[_Union[Bot, _Mapping]] = ..., dat: _Optional[_Union[Dat, _Mapping]] = ..., eot: _Optional[_Union[Eot, _Mapping]] = ...) -> None: ...
