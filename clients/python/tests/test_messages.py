"""Messages, labels and reasons."""

from __future__ import annotations

import pytest

from zioflow import Bot, Dat, EndReason, Eot, FlowEnded, FlowError
from zioflow._gen.zio.gateway.v1 import flow_pb2
from zioflow.errors import reason_from_proto
from zioflow.messages import taken_by, write_bot, write_label


def test_attributes_lack_what_is_zios_own():
    label = '{"flow":"BOT","direction":"inject","credit":1,"cid":2,"x":[1]}'
    assert Bot(label=label).attributes == {"x": [1]}
    assert Dat(label='{"flow":"DAT","credit":1}').attributes == {"credit": 1}
    assert Dat().attributes == {}


@pytest.mark.parametrize("label", ["[]", "null", "{", "nonsense"])
def test_a_label_that_is_no_object_has_no_attributes(label):
    with pytest.raises(ValueError):
        _ = Dat(label=label).attributes


def test_a_dat_is_a_value():
    dat = Dat(payload=(b"x",), label='{"n":1}')
    _ = dat.attributes
    assert dat == Dat(payload=(b"x",), label='{"n":1}')
    assert len({dat, Dat(payload=(b"x",), label='{"n":1}')}) == 1
    with pytest.raises(AttributeError):
        dat.label = ""


@pytest.mark.parametrize("n", [2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1])
def test_integers_in_labels_are_exact(n):
    text = write_label({"n": n})
    assert text == f'{{"n":{n}}}'
    assert Dat(label=text).attributes == {"n": n}


def test_a_payload_is_a_sequence_of_parts():
    with pytest.raises(TypeError):
        write_bot("inject", None, credit=1, label="", payload=b"one part", origin=0)


@pytest.mark.parametrize("text", ["true", "1.0", '"1"', "null", "[1]"])
def test_a_number_of_used_dats_is_an_integer(text):
    assert taken_by(Eot(label='{"taken":1}')) == 1
    assert taken_by(Eot(label=f'{{"taken":{text}}}')) is None
    assert taken_by(Eot(label="nonsense")) is None


def test_every_reason_of_the_contract_is_known():
    for name, number in flow_pb2.EndReason.items():
        assert reason_from_proto(number) == name.removeprefix("END_REASON_").lower()
    assert len(EndReason) == len(flow_pb2.EndReason.items())


def test_a_reason_of_a_newer_gateway_is_unspecified():
    assert reason_from_proto(1000) is EndReason.UNSPECIFIED


def test_reasons_print_as_the_contract_has_them():
    assert f"{EndReason.NO_HANDLER}" == str(EndReason.NO_HANDLER) == "no_handler"


def test_flow_ended_is_a_flow_error():
    error = FlowEnded("after 2", flow_id=3, taken=2)
    assert isinstance(error, FlowError)
    assert (error.reason, error.code, error.taken) == (EndReason.COMPLETED, None, 2)
