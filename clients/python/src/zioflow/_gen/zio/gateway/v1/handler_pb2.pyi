import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from zioflow._gen.zio.gateway.v1 import flow_pb2 as _flow_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListenRequest(_message.Message):
    __slots__ = ("name", "match", "max_flows", "max_offer_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_FLOWS_FIELD_NUMBER: _ClassVar[int]
    MAX_OFFER_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    match: str
    max_flows: int
    max_offer_bytes: int
    def __init__(self, name: _Optional[str] = ..., match: _Optional[str] = ..., max_flows: _Optional[int] = ..., max_offer_bytes: _Optional[int] = ...) -> None: ...

class ListenResponse(_message.Message):
    __slots__ = ("listening", "offer", "withdrawn")
    LISTENING_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    listening: Listening
    offer: Offer
    withdrawn: Withdrawn
    def __init__(self, listening: _Optional[_Union[Listening, _Mapping]] = ..., offer: _Optional[_Union[Offer, _Mapping]] = ..., withdrawn: _Optional[_Union[Withdrawn, _Mapping]] = ...) -> None: ...

class Listening(_message.Message):
    __slots__ = ("listener_id",)
    LISTENER_ID_FIELD_NUMBER: _ClassVar[int]
    listener_id: int
    def __init__(self, listener_id: _Optional[int] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("cid", "bot", "deadline", "peer")
    CID_FIELD_NUMBER: _ClassVar[int]
    BOT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    cid: int
    bot: _flow_pb2.Bot
    deadline: _timestamp_pb2.Timestamp
    peer: Peer
    def __init__(self, cid: _Optional[int] = ..., bot: _Optional[_Union[_flow_pb2.Bot, _Mapping]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., peer: _Optional[_Union[Peer, _Mapping]] = ...) -> None: ...

class Withdrawn(_message.Message):
    __slots__ = ("cid", "reason")
    CID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    cid: int
    reason: _flow_pb2.EndReason
    def __init__(self, cid: _Optional[int] = ..., reason: _Optional[_Union[_flow_pb2.EndReason, str]] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("transport", "address", "identity", "name", "agent", "node")
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    transport: str
    address: str
    identity: str
    name: str
    agent: str
    node: str
    def __init__(self, transport: _Optional[str] = ..., address: _Optional[str] = ..., identity: _Optional[str] = ..., name: _Optional[str] = ..., agent: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

class DeclineRequest(_message.Message):
    __slots__ = ("cid", "detail")
    CID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    cid: int
    detail: str
    def __init__(self, cid: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class DeclineResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
