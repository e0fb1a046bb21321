"""go_native: C functions as goroutines, in parallel with Python."""

from __future__ import annotations

import array
import ctypes
import gc
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import gort


@pytest.fixture(scope="module")
def functions(tmp_path_factory) -> ctypes.CDLL:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "c++", "g++"))), None)
    assert compiler, "these tests need a C compiler, as building gort does"
    library = tmp_path_factory.mktemp("native") / "functions.so"
    source = Path(__file__).with_name("native_functions.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return ctypes.CDLL(str(library))


class MeetingData(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("parties", "arrived", "ticks", "wanted", "met")]


@pytest.mark.parametrize("procs", [1, 2])
def test_two_functions_compute_at_the_same_time_while_python_goes_on(functions, procs):
    data = MeetingData(parties=2, wanted=1000)

    def main():
        both = [gort.go_native(functions.meet, data) for _ in range(2)]
        while any(g.status != "dead" for g in both):
            data.ticks += 1
            gort.gosched()

    gort.run(main, procs=procs)  # a C function has no place among the procs
    assert data.met == 2


def test_it_runs_from_every_kind_of_caller_and_is_joined(functions, inside):
    number = ctypes.c_int64(41)

    def main():
        goroutine = gort.go_native(functions.add_one, number)
        assert isinstance(goroutine, gort.Goroutine) and goroutine.id > 1
        goroutine.join()
        goroutine.join(0)
        return goroutine.status

    assert inside(main) == "dead"
    assert number.value == 42


def test_a_join_with_a_timeout_leaves_the_function_running(functions, inside):
    data = bytearray(2)

    def main():
        goroutine = gort.go_native(functions.wait_for_byte, data)
        while goroutine.status != "syscall":
            gort.gosched()
        with pytest.raises(TimeoutError):
            goroutine.join(0.01)
        status = goroutine.status
        data[0] = 1
        goroutine.join()
        return status

    assert inside(main) == "syscall"
    assert data == b"\x01\x01"


def test_the_end_of_a_run_waits_for_it(functions):
    data = bytearray(2)

    def main():
        goroutine = gort.go_native(functions.wait_for_byte, data)
        while goroutine.status != "syscall":
            gort.gosched()
        data[0] = 1

    gort.run(main, grace=60)
    assert data[1] == 1


def test_a_run_that_will_not_wait_longer_names_it_and_lets_it_go_on(functions):
    data, started = bytearray(2), []

    def main():
        started.append(gort.go_native(functions.wait_for_byte, data))
        while started[0].status != "syscall":
            gort.gosched()

    with pytest.warns(ResourceWarning, match="1 goroutine did not end within grace and is abandoned: <Goroutine .* .syscall.>"):
        gort.run(main, grace=0.01)
    data[0] = 1
    started[0].join()
    assert data[1] == 1


def test_the_interpreter_ends_while_one_computes(functions):
    program = (
        "import ctypes, gort\n"
        f"functions = ctypes.CDLL({functions._name!r})\n"
        "data = bytearray(2)\n"
        "goroutine = gort.go_native(functions.wait_for_byte, data)\n"
        "while goroutine.status != 'syscall': gort.gosched()\n"
        "print('end')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_its_goroutine_shows_where_it_was_started_and_what_it_is(functions):
    number = ctypes.c_int64()

    def main():
        goroutine = gort.go_native(functions.add_one, number)
        goroutine.name = "adder"
        assert "test_go_native.py" in goroutine.created_at
        assert goroutine.parent_id == gort.current().id
        goroutine.join()
        assert repr(goroutine) == f"<Goroutine {goroutine.id} 'adder' [dead]>"

    gort.run(main)


def test_arg_is_kept_alive_until_the_end_and_no_longer(functions):
    class Data(bytearray):
        pass

    data = Data(2)
    gone = weakref.ref(data)
    goroutine = gort.go_native(functions.wait_for_byte, data)
    with pytest.raises(BufferError):
        data.append(0)
    data[0] = 1
    del data
    goroutine.join()
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: array.array("q", [1]),
        lambda: memoryview(array.array("q", [1])),
        lambda: (ctypes.c_int64 * 1)(1),
        lambda: ctypes.pointer(ctypes.c_int64(1)),
    ],
)
def test_arg_may_be_a_buffer_or_a_pointer(functions, make):
    arg = make()
    gort.go_native(functions.add_one, arg=arg).join()
    assert arg[0] == 2


def test_arg_may_be_an_address(functions):
    number = ctypes.c_int64(1)
    gort.go_native(functions.add_one, ctypes.addressof(number)).join()
    gort.go_native(functions.add_one, ctypes.c_void_p(ctypes.addressof(number))).join()
    assert number.value == 3


def test_without_arg_the_function_gets_null(functions):
    functions.nulls_seen.restype = ctypes.c_int64
    before = functions.nulls_seen()
    for arg in ((), (None,), (0,), (ctypes.c_void_p(None),)):
        gort.go_native(functions.count_null, *arg).join()
    assert functions.nulls_seen() == before + 4


def test_address_may_be_an_int_a_function_type_or_an_object_with_an_address(functions):
    number = ctypes.c_int64(0)
    address = ctypes.cast(functions.add_one, ctypes.c_void_p).value

    class Compiled:  # as numba's cfunc
        def __init__(self):
            self.address = address

    for form in (address, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), Compiled()):
        gort.go_native(address=form, arg=number).join()
    assert number.value == 3


def test_cffi_pointers_are_functions_and_arguments(functions):
    cffi = pytest.importorskip("cffi", reason="cffi is in the extra 'test'")
    ffi = cffi.FFI()
    ffi.cdef("void add_one(void *);")
    library = ffi.dlopen(functions._name)
    numbers = ffi.new("int64_t[2]", [5, 6])
    gort.go_native(ffi.addressof(library, "add_one"), numbers).join()
    gort.go_native(ffi.cast("void (*)(void *)", library.add_one), ffi.addressof(numbers, 1)).join()
    assert list(numbers) == [6, 7]
    with pytest.raises(TypeError, match="a cffi object must be a pointer"):
        gort.go_native(library.add_one, ffi.cast("int", 3))
    with pytest.raises(ValueError, match="address must be an address from 1"):
        gort.go_native(ffi.NULL)


def test_it_has_the_stack_of_a_python_goroutine(functions):
    kib = ctypes.c_int64(400)
    gort.go_native(functions.use_stack, kib).join()
    assert kib.value == 1


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((), TypeError, "an address is needed"),
        ((1, 2, 3), TypeError, "takes at most 2 arguments"),
        ((None,), TypeError, "address must be an int, a ctypes function, .* got NoneType"),
        ((True,), TypeError, "got bool"),
        (("puts",), TypeError, "got str"),
        ((len,), TypeError, "got builtin_function_or_method"),
        ((ctypes.c_int(3),), TypeError, "got c_int"),
        ((0,), ValueError, "address must be an address from 1 .* got 0"),
        ((-5,), ValueError, "got -5"),
        ((2**64,), ValueError, "got 18446744073709551616"),
        ((ctypes.pythonapi.PyErr_Clear,), ValueError, "needs no GIL"),
        ((ctypes.CFUNCTYPE(None)(lambda: None),), ValueError, "calls Python"),
        ((ctypes.CFUNCTYPE(None)(0),), ValueError, "got 0"),
        ((4096, -1), ValueError, "arg must be an address from 0 .* got -1"),
        ((4096, 1.5), TypeError, "arg must be None, an int, .* got float"),
        ((4096, True), TypeError, "got bool"),
        ((4096, b"read only"), TypeError, "arg must be a writable buffer, got a read-only bytes"),
        ((4096, memoryview(bytearray(8))[::2]), ValueError, "arg must be a contiguous buffer"),
    ],
)
def test_bad_arguments_are_named_and_start_nothing(arguments, error, text):
    before = gort.num_goroutine()
    with pytest.raises(error, match=f"^go_native: .*{text}"):
        gort.go_native(*arguments)
    assert gort.num_goroutine() == before


def test_bad_keywords_are_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'argument'"):
        gort.go_native(1, argument=2)
    with pytest.raises(TypeError, match="'address' is given twice"):
        gort.go_native(1, address=2)


def test_a_thousand_of_them_beside_collections_and_python(functions):
    numbers = (ctypes.c_int64 * 1000)()

    def main():
        group = [gort.go_native(functions.add_one, ctypes.addressof(numbers) + 8 * i) for i in range(1000)]
        for i, goroutine in enumerate(group):
            if i % 100 == 0:
                gort.gc.collect()
            goroutine.join()

    gort.run(main)
    assert list(numbers) == [1] * 1000


def test_a_collection_does_not_wait_for_a_computing_function(functions):
    data = MeetingData(parties=1, wanted=1)

    def main():
        goroutine = gort.go_native(functions.meet, data)
        while data.arrived == 0:
            gort.gosched()
        gort.gc.collect()
        data.ticks = 1
        goroutine.join()

    gort.run(main)
    assert data.met == 1, "it was still computing when the collection had ended"
