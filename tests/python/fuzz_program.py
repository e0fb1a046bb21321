"""Calls everything that gort offers with everything that one should not give it; a program that test_fuzz.py starts.

    python tests/python/fuzz_program.py SEED CALLS [LOG]

Draws callables of all public modules, methods of objects that it has made or got, and arguments: numbers at the edges, objects whose special methods raise, park,
or call gort again, and gort's own objects at places where others are wanted. Each call is made by a goroutine (now and then by a plain thread) that the
program waits for only until it waits itself, so calls that block pile up, while the objects that they wait for are dropped. Half of the program is
inside runs, whose ends stop those that wait; the other half in ambient mode.

A call may raise what ``EXPECTED`` names and nothing else. Status 0: all was as it should be, and gort still works. LOG gets a line for
each call before it is made: its last lines tell what a crash or a hang was about.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import datetime
import faulthandler
import functools
import gc
import importlib
import inspect
import math
import os
import pickle
import random
import sys
import threading
import traceback
import weakref
from typing import Any, Callable, NamedTuple

import gort

BATCH = 200  # calls in one run, or in one stretch of ambient mode
LONGEST = float(os.environ.get("GORT_FUZZ_SECONDS", "300"))  # for the whole program

MODULES = ["gort", "gort.sync", "gort.atomic", "gort.context", "gort.contention", "gort.runtime", "gort.sched", "gort.errors"]
LEFT_OUT = {
    "go_native": "calls the address that it is given",
    "set_max_threads": "ends the process, as it says, when there are more threads",
}
FIRST_ARGUMENT_IS_MEMORY = {"Chan", "LockFreeQueue"}  # so not gigabytes


class Raised(Exception):
    """What our own nasty objects raise: it passes through gort."""


# Exactly these, not their subclasses: api.md section 6. OverflowError, SystemError, RecursionError, AssertionError are bugs.
EXPECTED = {
    TypeError, ValueError, TimeoutError, RuntimeError, StopIteration, ExceptionGroup, BaseExceptionGroup, Raised,
    concurrent.futures.CancelledError, concurrent.futures.InvalidStateError,
    gort.GortError, gort.PanicError, gort.FatalError, gort.Panic,
}  # fmt: skip
EXPECTED |= {value for name in ("context", "sync", "errors") for value in vars(importlib.import_module("gort." + name)).values()
             if isinstance(value, type) and issubclass(value, gort.GortError)}  # fmt: skip
ALSO = {  # by special method, where Python itself says so
    "__setattr__": {AttributeError},
    "__delattr__": {AttributeError},
    "__getattribute__": {AttributeError},
    "__getitem__": {IndexError, KeyError},
    "plot": {ImportError},
    "run": {OverflowError},  # of a goroutine that is int(inf): it ends the run
    "map": {OverflowError},  # concurrent.futures' own, of a timeout that no float holds
    "pickle": {pickle.PicklingError, AttributeError},
}


class Function(NamedTuple):
    name: str
    call: Callable[..., Any]


class Fuzz:
    def __init__(self, seed: int, log: int | None) -> None:
        self.random = random.Random(seed)
        self.log = log
        self.made = 0
        self.unexpected: list[str] = []
        self.counts: dict[str, int] = {}
        self.depth = threading.local()
        self.main = threading.get_ident()
        self.threads: list[threading.Thread] = []
        self.functions = list(self.public())
        self.objects: list[Any] = []
        self.values = self.nasty_values()
        self.renew()

    # ---- what is called

    def public(self) -> Any:
        seen: set[int] = set()
        for module_name in MODULES:
            module = importlib.import_module(module_name)
            for name in sorted(getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]):
                value = getattr(module, name)
                if isinstance(value, type) and issubclass(value, tuple):
                    continue  # a plain record: what one puts into it is in it
                if callable(value) and name not in LEFT_OUT and id(value) not in seen:
                    seen.add(id(value))
                    yield Function(f"{module_name}.{name}", value)

    def method(self, target: Any) -> Function | None:
        """A method of one of gort's objects, special ones included."""
        names = {
            name: owner
            for owner in reversed(type(target).__mro__)
            if owner.__module__.split(".")[0] in ("gort", "_gort", "concurrent")
            for name, value in vars(owner).items()
            if callable(value) or isinstance(value, (classmethod, staticmethod, property)) or inspect.isdatadescriptor(value)
        }
        for private in [n for n in names if n.startswith("_") and not (n.startswith("__") and n.endswith("__"))]:
            del names[private]
        for of_python in ("__class__", "__annotate__", "__annotate_func__"):  # the last two from 3.14 on
            names.pop(of_python, None)
        name = self.random.choice(sorted(names) or ["__repr__"])
        label = f"{type(target).__name__}.{name}"
        owner = names.get(name)
        if name == "__new__":
            return Function(label, functools.partial(type(target).__new__, self.random.choice([type(target), int, object, type(target)])))
        if owner is not None and (isinstance(vars(owner)[name], property) or not callable(getattr(owner, name))):
            return Function(label, lambda *_, **__: getattr(target, name))
        try:
            return Function(label, getattr(target, name))
        except Exception as error:
            self.judge(label, error)
            return None

    def tool(self, target: Any) -> Function:
        """What Python itself does with objects."""
        tools: list[tuple[str, Callable[..., Any]]] = [
            ("repr", lambda *_, **__: repr(target)),
            ("str", lambda *_, **__: str(target)),
            ("hash", lambda *_, **__: hash(target)),
            ("len", lambda *_, **__: len(target)),
            ("bool", lambda *_, **__: bool(target)),
            ("iter", lambda *_, **__: iter(target)),
            ("equal", lambda *a, **__: target == (a[0] if a else target)),
            ("less", lambda *a, **__: target < (a[0] if a else target)),
            ("copy", lambda *_, **__: copy.copy(target)),
            ("deepcopy", lambda *_, **__: copy.deepcopy(target)),
            ("pickle", lambda *_, **__: pickle.dumps(target)),
            ("weakref", lambda *_, **__: weakref.ref(target)),
            ("dir", lambda *_, **__: dir(target)),
            ("referents", lambda *_, **__: gc.get_referents(target)),
            ("format", lambda *_, **__: format(target)),
            ("subclass", lambda *_, **__: type("Sub", (type(target),), {})),
            ("sizeof", lambda *_, **__: sys.getsizeof(target)),
        ]
        name, call = self.random.choice(tools)
        return Function(name, call)

    # ---- with what

    def nasty_values(self) -> list[Any]:
        fuzz = self

        class Index:
            def __index__(self) -> int:
                return 3

        class Huge:
            def __index__(self) -> int:
                return 2**100

            def __float__(self) -> float:
                return math.nan

        class Raises:
            def fail(self, *_: Any, **__: Any) -> Any:
                raise Raised

            __index__ = __float__ = __hash__ = __str__ = __repr__ = __eq__ = __bool__ = __len__ = __iter__ = __call__ = __enter__ = fail

        class Liar:
            """Special methods that return what they must not."""

            __str__ = __repr__ = __iter__ = lambda self: 7  # noqa: E731
            __float__ = __len__ = __index__ = lambda self: "x"  # noqa: E731
            __hash__ = lambda self: None  # noqa: E731
            __eq__ = lambda self, other: self  # noqa: E731
            __exit__ = lambda self, *_: 3  # noqa: E731

        class Again:
            """Special methods that use gort."""

            def __index__(self) -> int:
                fuzz.again()
                return 1

            def __float__(self) -> float:
                fuzz.again()
                return 0.001

            def __hash__(self) -> int:
                fuzz.again()
                return 5

            def __eq__(self, other: object) -> bool:
                fuzz.again()
                return fuzz.random.random() < 0.5

            def __repr__(self) -> str:
                fuzz.again()
                return "Again"

            def __call__(self, *_: Any, **__: Any) -> Any:
                fuzz.again()

            def __iter__(self) -> Any:
                fuzz.again()
                yield fuzz.value()

            def __enter__(self) -> Any:
                fuzz.again()
                return self

            def __exit__(self, *_: Any) -> None:
                fuzz.again()

            lock = unlock = done = err = deadline = __call__

            def value(self, key: Any) -> Any:
                fuzz.again()

        class Dying:
            """Its destructor uses gort; it is made anew for each use."""

            def __del__(self) -> None:
                fuzz.again()

        async def coroutine() -> None:
            pass

        def generator() -> Any:
            yield 1

        self.fresh: list[Callable[[], Any]] = [Dying, Again, lambda: [Dying()], lambda: functools.partial(print, Dying(), file=io_null), coroutine_free]
        return [
            None, 0, 1, -1, 2, 3, 255, 2**31, -2**31 - 1, 2**32, 2**53, 2**63 - 1, 2**63, -2**63, -2**63 - 1, 2**64, 2**70, -2**70, 10**400,
            math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324, 0.0, -0.0, -0.001, 0.001, 0.5, 1e9, 1e10,
            "", "x", "i64", "f32", "bool", "\0", "\ud800", "x" * 1000, b"x", bytearray(b"y"), (), (1, 2), [], [1], {}, {1: 2}, set(), 1j, ...,
            NotImplemented, True, False, int, len, list, object, print_nothing, print_nothing, generator, coroutine, generator(), range(3),
            ValueError, ValueError("x"), Raised(), KeyError(1), Index(), Huge(), Raises(), Raises, Liar(), Liar, Again(), Again(), Again,
            datetime.timedelta(0), datetime.timedelta.max, datetime.timedelta.min, datetime.timedelta(microseconds=1),
            datetime.datetime.max, datetime.datetime.min, datetime.datetime.max.replace(tzinfo=datetime.timezone.utc),
            datetime.datetime.min.replace(tzinfo=datetime.timezone.utc), object(), sys, type, self.again,
        ]  # fmt: skip

    def renew(self) -> None:
        """Drops the objects, which others may wait for, and makes new ones."""
        sync, context, atomic = (importlib.import_module("gort." + name) for name in ("sync", "context", "atomic"))
        closed = gort.Chan[Any](1)
        closed.close()
        ctx, cancel = context.with_cancel(context.background())
        rw = sync.RWMutex()
        a, b = gort.Chan[Any](), gort.Chan[Any](2)
        # A channel that holds itself, a pool that holds itself, and so on: for the collector, which must end.
        knot = gort.Chan[Any](2)
        knot.send(knot)
        self.objects = [
            a, b, closed, knot, gort.Chan(1, dtype="i64"), gort.Chan(0, dtype="f32"), gort.Chan(1, dtype="bool"), gort.Chan(2, dtype="u8"), gort.Chan(1, dtype="bytes3"), gort.nil_chan,
            a.sender(), b.receiver(), gort.send(a, 1), gort.recv(b), gort.Timer(100), gort.Timer(0), gort.Ticker(0.005), gort.after(0.001),
            gort.after_func(1000, int), sync.Mutex(), rw, rw.rlocker(), sync.Once(), sync.Cond(sync.Mutex()), sync.Cond(rw), sync.Pool(), sync.Pool(list),
            sync.WaitGroup(), sync.SpinLock(), sync.LockFreeQueue(3), sync.LockFreeQueue(), sync.Group(), sync.Semaphore(2), sync.SingleFlight(),
            sync.Limiter(100, 3), sync.Limiter(math.inf, 0), sync.Limiter(5, 1).reserve(), sync.Sometimes(first=2), sync.Future(), gort.WorkerPool(2),
            gort.WorkerPool(1, queue=0), gort.Executor(2), context.background(), ctx, cancel, context.with_timeout(ctx, 0).ctx,
            context.with_value(ctx, "k", 1), context.without_cancel(ctx), context.tree(ctx), gort.current(), gort.go(print_nothing),
            *(getattr(atomic, name)() for name in atomic.__all__), gort.func(print_nothing), sync.once_value(list), gort.lock_os_thread,
        ]  # fmt: skip

    def value(self) -> Any:
        kind = self.random.random()
        if kind < 0.5:
            return self.random.choice(self.values)
        if kind < 0.9:
            return self.random.choice(self.objects)
        return self.random.choice(self.fresh)()

    def value_for(self, name: str) -> Any:
        """Often of the kind that a parameter of that name wants, so that some calls go deep."""
        rnd = self.random
        if rnd.random() < 0.4:
            return self.value()
        if name in ("fn", "f", "func", "new", "pred", "initializer", "main"):
            return rnd.choice([print_nothing, print_nothing, self.again, self.one, len, *[v for v in self.values if callable(v)]])
        if name in ("ctx", "parent", "p", "ch", "channel", "lock", "goroutine", "error", "cause"):
            wanted = {"ctx": "Context", "parent": "Context", "p": "Context", "ch": "Chan", "channel": "Chan", "lock": "Mutex", "goroutine": "Goroutine"}
            return rnd.choice([o for o in self.objects if type(o).__name__ == wanted.get(name)] or [ValueError("x")])
        if name in ("v", "value", "x", "key", "k", "zero", "old", "args", "cases") and rnd.random() < 0.5:
            return self.value()
        if name in ("dtype", "name"):
            return rnd.choice(["i64", "u64", "f32", "f64", "bool", "i8", "x", None])
        return rnd.choice([v for v in self.values if isinstance(v, (int, float, datetime.timedelta)) or hasattr(v, "__index__")])

    def arguments(self, function: Function) -> tuple[list[Any], dict[str, Any]]:
        rnd = self.random
        wanted, names = ["v"] * 3, ["timeout", "default", "cap", "dtype", "zero", "name", "n", "ctx"]
        if rnd.random() < 0.7:  # as many as it takes
            with contextlib.suppress(TypeError, ValueError, Raised):
                parameters = list(inspect.signature(function.call).parameters.values())
                wanted = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
                needed = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)
                names = [p.name for p in parameters if p.kind == p.KEYWORD_ONLY]
                if any(p.kind == p.VAR_POSITIONAL for p in parameters):
                    wanted += ["v"] * rnd.choice([0, 1, 2, 12])
                elif rnd.random() < 0.3:
                    names += wanted[needed:]
                    wanted = wanted[:needed]
                else:
                    wanted = wanted[: rnd.randint(needed, len(wanted))]
        else:
            wanted = ["v"] * rnd.choice([0, 0, 1, 1, 2, 3, 5])
        given = [self.value_for(name) for name in wanted]
        named = {name: self.value_for(name) for name in rnd.choices(names, k=rnd.choice([1, 1, 2]))} if names and rnd.random() < 0.5 else {}
        if function.name.split(".")[-1] in FIRST_ARGUMENT_IS_MEMORY or function.name.endswith(".__new__") or function.name.endswith(".__init__"):
            given = [min(v, 1000) if isinstance(v, int) and v < 2**60 else v for v in given]
            named = {k: min(v, 1000) if isinstance(v, int) and v < 2**60 else v for k, v in named.items()}
        return given, named

    # ---- several calls that make sense together

    def scenario(self) -> Function:
        call = self.random.choice([
            self.under_a_lock, self.deferred, self.selecting, self.traffic, self.group, self.worker_pool, self.once, self.contexts, self.timers, self.dropped,
            self.wait_group, self.atomics,
        ])  # fmt: skip
        return Function(call.__name__, call)

    def under_a_lock(self, *_: Any, **__: Any) -> None:
        lock = self.random.choice([gort.Mutex(), *[o for o in self.objects if hasattr(type(o), "unlock")]])
        lock.lock()
        try:
            self.one()
        finally:
            lock.unlock()

    def deferred(self, *_: Any, **__: Any) -> None:
        @gort.func
        def body() -> None:
            gort.defer(self.one)
            gort.defer(self.random.choice([gort.recover, print_nothing, self.one]))
            self.one()
            gort.panic(self.value())

        body()

    def selecting(self, *_: Any, **__: Any) -> None:
        rnd = self.random
        channels = [gort.nil_chan, *[o for o in self.objects if isinstance(o, gort.Chan)]]
        cases = [rnd.choice([None, ch, gort.recv(ch), gort.send(ch, self.value_for("v"))]) for ch in rnd.choices(channels, k=rnd.randint(1, 20))]
        gort.select(*cases, **rnd.choice([{}, {"default": True}, {"timeout": 0}, {"timeout": 0.001}]))

    def traffic(self, *_: Any, **__: Any) -> None:
        ch = gort.Chan[Any](self.random.choice([0, 0, 1, 5]))
        receivers = [gort.go(lambda ch: [self.one() for _ in zip(range(2), ch)], ch) for _ in range(2)]
        with ch:
            for _ in range(4):
                ch.send(self.value(), timeout=0.01)
        del receivers, ch

    def group(self, *_: Any, **__: Any) -> None:
        with gort.Group() as group:
            for _ in range(3):
                group.go(self.random.choice([self.one, self.value]))

    def worker_pool(self, *_: Any, **__: Any) -> None:
        with gort.WorkerPool(2, queue=self.random.choice([None, 0, 1]), initializer=self.random.choice([None, self.one])) as pool:
            futures = [pool.submit(self.random.choice([self.one, self.value])) for _ in range(4)]
            self.random.choice(futures).cancel()
            pool.resize(1)

    def once(self, *_: Any, **__: Any) -> None:
        once = gort.Once()
        gort.go(once.do, self.one)
        once.do(self.one)
        gort.sync.once_value(self.one)()

    def contexts(self, *_: Any, **__: Any) -> None:
        context = gort.context
        parent = self.random.choice([context.background(), *[o for o in self.objects if isinstance(o, context.Context)]])
        with context.with_cancel(context.with_value(parent, self.value(), self.value())) as ctx:
            stop = context.after_func(ctx, self.one)
            with context.with_timeout(ctx, self.random.choice([0, 0.001, 100])) as inner:
                self.objects.append(inner)
                self.one()
            if self.random.random() < 0.5:
                stop()

    def timers(self, *_: Any, **__: Any) -> None:
        timer = gort.after_func(self.random.choice([0, 0.0005, 100]), self.one)
        gort.gosched()
        timer.reset(self.random.choice([0, 0.0005, 100]))
        if self.random.random() < 0.5:
            timer.stop()
        ticker = gort.Ticker(0.0005)
        ticker.c.recv(timeout=1)
        ticker.reset(0.001)

    def dropped(self, *_: Any, **__: Any) -> None:
        """Somebody waits for something that nobody else has, and then is gone as well."""
        make = [
            lambda: gort.Chan[Any]().recv, lambda: functools.partial(gort.Chan[Any]().send, self.value()), lambda: gort.Timer(1000).c.recv,
            lambda: gort.Cond(gort.Mutex()).wait, lambda: gort.WaitGroup().wait, lambda: functools.partial(gort.select, gort.Chan[Any](), gort.Chan[Any]()),
            lambda: functools.partial(gort.Semaphore(0).acquire, 1), lambda: gort.sync.Future().result,
        ]  # fmt: skip
        gort.go(self.random.choice(make)())
        gort.gosched()
        gc.collect()

    def wait_group(self, *_: Any, **__: Any) -> None:
        wait_group = gort.WaitGroup()
        for _ in range(3):
            wait_group.go(self.random.choice([self.one, print_nothing]))
        wait_group.wait(timeout=self.random.choice([0, 0.001, None]))

    def atomics(self, *_: Any, **__: Any) -> None:
        cell = self.random.choice([gort.atomic.Value, gort.atomic.Pointer])()
        for _ in range(5):
            cell.store(self.value())
            cell.compare_and_swap(self.value(), cell.swap(self.value()))

    # ---- one call

    def one(self) -> None:
        rnd = self.random
        kind = rnd.random()
        target = None
        if kind < 0.25:
            function: Function | None = rnd.choice(self.functions)
        elif kind < 0.35:
            function = self.scenario()
        else:
            target = rnd.choice(self.objects)
            function = self.tool(target) if kind < 0.4 else self.method(target)
        if function is None:
            return
        given, named = self.arguments(function)
        self.note(function.name, given, named)
        self.made += 1
        try:
            result = function.call(*given, **named)
        except Exception as error:
            self.judge(function.name, error)
        else:
            self.counts["returned"] = self.counts.get("returned", 0) + 1
            if type(result).__module__.split(".")[0] in ("gort", "_gort") and len(self.objects) < 150:
                self.objects.append(result)

    def again(self) -> None:
        """A call out of one of our objects: made here, or beside, as the caller of this call must go on."""
        depth = getattr(self.depth, "n", 0)
        if depth >= 3 or self.random.random() < 0.5:
            return
        self.depth.n = depth + 1
        try:
            if threading.get_ident() == self.main or self.random.random() < 0.5:
                gort.go(self.one)
                gort.gosched()
            else:
                self.one()
        except RuntimeError:  # of go: the run is over, or CPython starts no more threads
            pass
        finally:
            self.depth.n = depth

    def judge(self, name: str, error: Exception) -> None:
        kind = type(error)
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        if kind in EXPECTED or kind in ALSO.get(name.rsplit(".")[-1], ()):
            return
        if isinstance(error, RecursionError) and "comparison" in str(error):
            return
        self.unexpected.append(f"{name} raised {kind.__name__}: {safe(lambda: str(error))}\n" + "".join(traceback.format_tb(error.__traceback__)))

    def note(self, name: str, given: list[Any], named: dict[str, Any]) -> None:
        if self.log is None:
            return
        shown = ", ".join([brief(v) for v in given] + [f"{k}={brief(v)}" for k, v in named.items()])
        os.write(self.log, f"{self.made} {name}({shown})\n".encode("utf-8", "backslashreplace"))

    # ---- many calls

    def calls(self, number: int) -> None:
        """Makes that many calls, each in a goroutine, or now and then in a plain thread, and leaves those that block."""
        end = self.made + number
        while self.made < end:
            if self.random.random() < 0.03:
                self.renew()
                if self.random.random() < 0.3:
                    gc.collect()
            if self.random.random() < 0.02 and sum(t.is_alive() for t in self.threads) < 10:
                thread = threading.Thread(target=self.one, daemon=True)
                self.threads.append(thread)
                thread.start()
                thread.join(0.001)
                continue
            goroutine = gort.go(self.one)
            for _ in range(1000):
                if goroutine.status in ("waiting", "dead"):
                    break
                gort.gosched()
            else:
                with contextlib.suppress(TimeoutError):
                    goroutine.join(timeout=1)

    def in_a_run(self, number: int) -> None:
        try:
            gort.run(self.calls, number, grace=5)
        except Exception as error:  # a goroutine's: it ends the run
            self.judge("run", error)
        finally:
            self.objects = [None]
            self.renew()


def coroutine_free() -> Any:
    return lambda *_, **__: None


def print_nothing(*_: Any, **__: Any) -> None:
    pass


def safe(text: Callable[[], str]) -> str:
    try:
        return text()
    except Exception as error:
        return f"<{type(error).__name__} from its text>"


def brief(value: Any) -> str:
    """The value for the log, without a call of anything of its own."""
    if type(value) in (int, float, str, bytes, bool, type(None)):
        return repr(value)[:40]
    if isinstance(value, type):
        return value.__name__
    return f"<{type(value).__name__} {id(value):#x}>"


def still_works() -> None:
    """Goroutines, channels, locks and timers after all that."""
    ch = gort.Chan[int]()

    def main() -> int:
        group, got = gort.WaitGroup(), []
        for n in range(20):
            group.go(ch.send, n)
        for _ in range(20):
            got.append(ch.recv(timeout=60))
        group.wait()
        with gort.Mutex():
            gort.sleep(0.001)
        return sum(got)

    assert gort.run(main) == 190


io_null = open(os.devnull, "w")  # noqa: SIM115  for as long as the program


def main() -> int:
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    seed, calls = int(sys.argv[1]), int(sys.argv[2])
    log = os.open(sys.argv[3], os.O_CREAT | os.O_TRUNC | os.O_WRONLY) if len(sys.argv) > 3 else None
    fuzz = Fuzz(seed, log)
    reported: list[BaseException] = []
    gort.panichook = lambda goroutine, error: reported.append(error)
    sys.unraisablehook = lambda unraisable: reported.append(unraisable.exc_value)
    threading.excepthook = lambda arguments: reported.append(arguments.exc_value)
    in_run = bool(seed % 2)
    while fuzz.made < calls:
        number = min(BATCH, calls - fuzz.made)
        if in_run:
            fuzz.in_a_run(number)
        else:
            fuzz.calls(number)
        in_run = not in_run
    for error in reported:
        if isinstance(error, Exception):
            fuzz.judge("reported", error)
    fuzz.objects = [None]
    gc.collect()
    still_works()
    print(fuzz.made, "calls:", ", ".join(f"{name} {n}" for name, n in sorted(fuzz.counts.items())))
    for text in fuzz.unexpected:
        print(text)
    return 1 if fuzz.unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
