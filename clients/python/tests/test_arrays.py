"""NumPy arrays through flows, and what their descriptions may not say."""

from __future__ import annotations

import json
import subprocess
import sys
import types

import pytest
from fake import running

from zioflow import Dat, Tensor, tensors
from zioflow._gen.zio.gateway.v1 import flow_pb2
from zioflow.messages import write_dat

numpy = pytest.importorskip("numpy")

_DTYPES = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()
if hasattr(numpy, "float128"):  # a long double, on this machine
    _DTYPES += ["f16", "c32"]
_SHAPES = [(), (5,), (2, 3), (2, 3, 4), (2, 1, 3, 2), (2, 3, 1, 2, 2), (0,), (3, 0, 2)]


def _array(dtype, shape, layout="C"):
    """Numbers that tell the elements apart, NaN, infinities and -0.0 among them."""
    size = int(numpy.prod(shape))
    flat = numpy.arange(size * numpy.dtype(dtype).itemsize, dtype="u1") * 37 + 11
    array = (flat % 2 == 0)[:size] if dtype == "b1" else flat.view(dtype)
    if dtype[0] in "fc" and size > 4:
        array[1:5] = [numpy.nan, numpy.inf, -numpy.inf, -0.0]
    return numpy.asarray(array.reshape(shape), order=layout)


def _read(message: flow_pb2.Dat) -> Dat:
    return Dat(label=message.label, payload=tuple(message.payload))


def _same(got, want) -> bool:
    """Bit by bit."""
    return (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("order", "CK")
def test_every_dtype_shape_and_layout(dtype, order):
    for shape in _SHAPES:
        for layout in "CF":
            array = _array(dtype, shape, layout)
            dat = _read(write_dat([array], order=order, metadata={}))
            assert _same(dat.array(), array), (shape, layout)
            (described,) = dat.attributes["TENS"]["tensors"]
            assert described["shape"] == list(shape)
            assert described["dtype"] + str(described["word"]) == dtype
            lies_otherwise = layout == "F" and array.flags.f_contiguous != array.flags.c_contiguous
            assert ("order" in described) == (order == "K" and lies_otherwise)


async def test_arrays_cross_the_gateway_bit_by_bit(gateway):
    arrays = [_array(d, s, o) for d in _DTYPES for s in _SHAPES for o in "CF"]
    arrays.append(numpy.random.default_rng(1).normal(size=(800, 6000 // 8)))  # 4.8 MB
    taken = []

    async def handler(offer):
        async with offer.accept() as flow:
            async for dat in flow:
                taken.append(dat)

    async with gateway.handle("arrays", handler, match="attributes.to == 'arrays'"):
        await gateway.put_all(arrays, {"to": "arrays"})
        await gateway.put(arrays[-1], {"to": "arrays"})
        async with gateway.give({"to": "arrays"}) as flow:
            await flow.put(arrays[5], label={"n": 2**63})
            await flow.put_all([arrays[6], (b"raw", arrays[7])])
            await flow.put_arrays(*arrays[8:11], metadata={"run": 7}, order="K")
    count = len(arrays)
    assert all(_same(dat.array(), array) for dat, array in zip(taken, arrays))
    one, first, second, mixed, many = taken[count:]
    for dat, array in ((one, arrays[-1]), (first, arrays[5]), (second, arrays[6])):
        assert _same(dat.array(), array)
    assert first.attributes["n"] == 2**63
    assert mixed.payload[0] == b"raw"
    assert _same(mixed.array(), arrays[7])
    assert mixed.attributes["TENS"]["tensors"][0]["part"] == 1
    assert all(_same(*pair) for pair in zip(many.arrays(), arrays[8:11], strict=True))
    assert many.attributes["TENS"]["metadata"] == {"run": 7}


def test_the_label_is_as_zio_has_it():
    array = numpy.array([[1, 2, 3], [4, 5, 6]], dtype=">f4", order="F")
    dat = write_dat(
        [b"x", Tensor(array, {"name": "a"}), numpy.float64(0.5)],
        label='{"flow":"DAT","run":1}',
        metadata={"source": "me"},
    )
    assert json.loads(dat.label) == {
        "flow": "DAT",
        "run": 1,
        "TENS": {
            "tensors": [
                {"shape": [2, 3], "word": 4, "dtype": "f", "part": 1, "metadata": {"name": "a"}},
                {"shape": [], "word": 8, "dtype": "f", "part": 2},
            ],
            "metadata": {"source": "me"},
        },
    }
    assert dat.payload[1] == numpy.arange(1, 7, dtype="<f4").tobytes()
    found, scalar = _read(dat).tensors()
    assert found.metadata == {"name": "a"} and scalar.metadata == {}
    assert found.array.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert scalar.array.shape == () and scalar.array == 0.5


def test_views_cost_no_copy_and_cannot_be_written_to():
    payload = (bytes(8 * 1000),)
    label = json.dumps({"TENS": {"tensors": [{"shape": [10, 100], "word": 8, "dtype": "f"}]}})
    array = Dat(label=label, payload=payload).array()
    assert numpy.shares_memory(array, numpy.frombuffer(payload[0], "u1"))
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


@pytest.mark.parametrize(
    "array, name",
    [
        (numpy.array([{}, None]), "object"),
        (numpy.array(["text"]), "<U4"),
        (numpy.array([b"bytes"]), r"\|S5"),
        (numpy.array(["2020-01-01"], dtype="M8[s]"), r"datetime64\[s\]"),
        (numpy.array([1], dtype="m8[ns]"), r"timedelta64\[ns\]"),
        (numpy.zeros(2, dtype=[("a", "i4")]), r"\[\('a', '<i4'\)\]"),
        (numpy.zeros(2, dtype="V3"), r"\|V3"),
    ],
)
def test_a_dtype_that_tens_lacks_is_named(array, name):
    with pytest.raises(TypeError, match=f"TENS has no elements of dtype {name}$"):
        write_dat([array])


def test_what_would_lose_something_is_refused():
    with pytest.raises(TypeError, match="masked"):
        write_dat([numpy.ma.array([1, 2], mask=[0, 1])])
    with pytest.raises(ValueError, match="TENS already"):
        write_dat([numpy.zeros(1)], label={"TENS": {}})
    with pytest.raises(ValueError, match="order"):
        write_dat([numpy.zeros(1)], order="F")
    with pytest.raises(ValueError):
        write_dat([numpy.zeros(1)], metadata={"gain": float("nan")})
    with pytest.raises(TypeError, match="Python's objects"):
        write_dat([memoryview(numpy.array([{}]))])
    assert write_dat([memoryview(numpy.arange(2, dtype="u1"))]).payload == [b"\0\1"]


async def test_a_bot_has_no_arrays(client):
    with pytest.raises(TypeError, match="only a DAT has arrays"):
        client.give(payload=[numpy.zeros(1)])


_GOOD = {"shape": [2, 3], "word": 4, "dtype": "f"}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"shape": [2, 2]}, r"tensor 0 has 16 bytes by its shape \[2, 2\], its part 24"),
        ({"shape": [2**40, 2**40]}, "bytes by its shape"),
        ({"shape": [-2, -3]}, "shape"),
        ({"shape": [2.0, 3]}, "shape"),
        ({"shape": [True, 6]}, "shape"),
        ({"shape": "23"}, "shape"),
        ({"shape": None}, "shape"),
        ({"shape": [1] * 65}, "65 dimensions"),
        ({"word": 3}, "dtype 'f' of 3 bytes"),
        ({"word": 4.0}, "dtype"),
        ({"word": True}, "dtype"),
        ({"dtype": "O", "word": 8}, "dtype 'O'"),
        ({"dtype": "<f"}, "dtype"),
        ({"dtype": ["f"]}, "dtype"),
        ({"dtype": None}, "dtype"),
        ({"part": 1}, "part 1, but the payload has 1"),
        ({"part": -1}, "part -1"),
        ({"part": "0"}, "part"),
        ({"part": False}, "part"),
        ({"order": [0]}, "order"),
        ({"order": [0, 0]}, "order"),
        ({"order": [0, 2]}, "order"),
        ({"order": ["0", 1]}, "order"),
        ({"order": 1}, "order"),
        ({"ascend": [True]}, "ascend"),
        ({"ascend": [1, 1]}, "ascend"),
        ({"ascend": "no"}, "ascend"),
        ({"metadata": 5}, "metadata"),
        ({"packing": "sparse"}, "packing 'sparse'"),
        ({"pointer": 140737353678848}, "pointer"),
    ],
)
def test_a_description_that_lies_is_named(change, words):
    payload = (bytes(24),)

    def dat(tensor):
        return Dat(label=json.dumps({"TENS": {"tensors": [tensor]}}), payload=payload)

    assert dat(_GOOD).array().shape == (2, 3)
    with pytest.raises(ValueError, match=words):
        dat({**_GOOD, **change}).arrays()


def test_an_element_that_numpy_lacks_here_is_named(monkeypatch):
    label = json.dumps({"TENS": {"tensors": [{"shape": [1], "dtype": "f", "word": 64}]}})
    monkeypatch.setitem(tensors._WORDS, "f", (64,))  # as a long double is where it is a double
    with pytest.raises(ValueError, match="dtype 'f' of 64 bytes, which NumPy has not here"):
        Dat(label=label, payload=(bytes(64),)).arrays()


@pytest.mark.parametrize("tens", [5, [], {}, {"tensors": 5}, {"tensors": [5]}, None])
def test_what_describes_no_tensors(tens):
    with pytest.raises(ValueError, match=r"TENS|tensor 0 is no object"):
        Dat(label=json.dumps({"TENS": tens}), payload=(b"x",)).arrays()


def test_array_is_for_the_only_one():
    for count in (0, 2):
        dat = _read(write_dat([numpy.zeros(2)] * count, metadata={}))
        assert len(dat.arrays()) == count
        with pytest.raises(ValueError, match=f"{count} tensors, not one"):
            dat.array()


def test_order_and_ascend_are_followed():
    """As Boost's general_storage_order has them, whose concepts TENS adopts."""
    want = numpy.arange(24, dtype="<i4").reshape(2, 3, 4)
    stored = want[:, ::-1, :].transpose(1, 2, 0)  # dimension 0 varies fastest, 1 slowest
    tensor = {"shape": [2, 3, 4], "word": 4, "dtype": "i", "order": [0, 2, 1]}
    tensor["ascend"] = [True, False, True]
    label = json.dumps({"TENS": {"tensors": [tensor]}})
    payload = (stored.tobytes(),)
    got = Dat(label=label, payload=payload).array()
    assert (got == want).all()
    assert numpy.shares_memory(got, numpy.frombuffer(payload[0], "u1"))


class DataArray:
    """What is used of xarray's, where that is not installed."""

    def __init__(self, values, *, dims, name=None):
        self.values, self.dims, self.name = values, dims, name

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize("real", [False, True])
def test_xarray_keeps_its_names(monkeypatch, real):
    if real:
        xarray = pytest.importorskip("xarray")
    else:
        xarray = types.SimpleNamespace(DataArray=DataArray)
        monkeypatch.setitem(sys.modules, "xarray", xarray)
    values = numpy.arange(6.0).reshape(2, 3)
    named = xarray.DataArray(values, dims=("time", "wire"), name="adc")
    plain = xarray.DataArray(values, dims=("x", "y"))
    both = _read(write_dat([named, Tensor(plain, {"gain": 2})])).tensors()
    assert [t.metadata for t in both] == [
        {"name": "adc", "dims": "time wire"},
        {"dims": "x y", "gain": 2},
    ]
    assert all((t.array == values).all() for t in both)


def test_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for name in ("bfloat16", "float8_e4m3fn", "int4"):
        array = numpy.array([[1, -2], [3, 0]]).astype(getattr(ml_dtypes, name))
        dat = _read(write_dat([array]))
        assert _same(dat.array(), array)
        (described,) = dat.attributes["TENS"]["tensors"]
        assert (described["dtype"], described["word"]) == ("u", array.dtype.itemsize)
        described["ml_dtype"] = "no such"
        others = Dat(label=json.dumps({"TENS": {"tensors": [described]}}), payload=dat.payload)
        assert others.array().dtype.kind == "u"


async def test_an_array_that_is_refused_does_not_harm_the_flow(client, fake):
    async def give():
        async with client.give() as flow:
            with pytest.raises(TypeError, match="dtype object"):
                await flow.put(numpy.array([{}]))
            await flow.put(numpy.zeros(3, "u1"))

    async with running(give()):
        stream = await fake.called()
        await stream.answer(pay=1)
        assert (await stream.expect("dat")).payload == [bytes(3)]
        await stream.complete()


def test_numpy_is_needed_only_where_there_is_an_array():
    code = """if True:
        import sys
        sys.modules["numpy"] = None
        from zioflow.messages import Dat, write_dat
        assert write_dat([b"x", "y"], label={"n": 1}).payload == [b"x", b"y"]
        try:
            Dat(label='{"TENS":{"tensors":[{"shape":[1]}]}}', payload=(b"x",)).array()
        except ImportError:
            print("import error")
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "import error\n"


def test_what_becomes_an_array_is_one():
    class Like:
        def __array__(self, dtype=None, copy=None):
            return numpy.arange(3)

    assert _read(write_dat([Like()])).array().tolist() == [0, 1, 2]
