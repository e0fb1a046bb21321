"""The C stack of a goroutine: what recurses deeply works or is an error of Python, as on a thread, and never the end of the process.

Each case runs in a process of its own, because what is tested for is a crash.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

HEAD = """
import ast, copy, functools, json, pickle, re, sys
import gort

def map_of(n): return list(map(map_of, [n - 1])) if n else []
def nested(n):
    value = []
    for _ in range(n): value = [value]
    return value
def chained(n):
    class Node: pass
    first = None
    for _ in range(n):
        node = Node()
        node.next, first = first, node
    return first
def depth(value):
    n = 0
    while value: value, n = value[0], n + 1
    return n

def attempt(function):
    "What became of function() in a goroutine: its value or the name of the error."
    got = []
    def body():
        try:
            got.append(function())
        except Exception as error:
            got.append(type(error).__name__)
    gort.run(lambda: gort.go(body).join())
    return got[0]

def deep(n): return deep(n - 1) + 1 if n else 0
def park_deep(n):
    if n: return park_deep(n - 1) + 1
    gort.sleep(0.0005)
    return 0

def still_works():
    "The next goroutine has the stack and the thread state of the last one."
    def body():
        first = deep(700), park_deep(700), depth(map_of(50))
        try: deep(10**6)
        except RecursionError: pass
        return (*first, deep(700), repr(nested(50)).count("["))
    return attempt(body) == (700, 700, 50, 700, 51)
"""


def outcome(define: str, call: str) -> str:
    """The outcome of evaluating `call` in a goroutine, twice, each time with ordinary work after it."""
    program = f"""{HEAD}
{textwrap.dedent(define)}
results = set()
for _ in range(2):
    results.add(attempt(lambda: {call}))
    assert still_works()
print(*results)
"""
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "call",
    [
        "depth(map_of(1000))",
        "repr(nested(1000)).count('[')",
        "len(json.dumps(nested(1000)))",
        "depth(json.loads('[' * 1000 + ']' * 1000))",
        "bool(re.match('(' * 1000 + 'a' + ')' * 1000, 'a'))",
        "depth(copy.deepcopy(nested(1000)))",
        "bool(copy.deepcopy(chained(1000)))",
        "depth(pickle.loads(pickle.dumps(nested(1000))))",
        "repr(ast.literal_eval('[' * 150 + ']' * 150)).count('[')",
        "nested(1000) == nested(1000)",
        "hash(functools.reduce(lambda inner, _: (inner,), range(1000), ())) != 0",
        "isinstance(1, functools.reduce(lambda inner, _: (inner,), range(1000), int))",
    ],
)
def test_a_thousand_levels_of_recursion_in_c_work_or_are_a_recursion_error(call):
    assert outcome("", call) in ("1000", "999", "150", "1001", "2002", "True", "RecursionError")


@pytest.mark.parametrize(
    "source",
    [
        "'(' * 199 + ')' * 199",
        "'[' * 199 + ']' * 199",
        "'f(' * 199 + ')' * 199",
        "'{1: ' * 199 + '1' + '}' * 199",
        "'lambda: ' * 2000 + '1'",
        "'not ' * 3000 + '1'",
        "'not ' * 9000 + '1'",
        "'1 if 1 else ' * 9000 + '1'",
        "'lambda: ' * 9000 + '1'",
        "'-' * 3000 + '1'",
        "'x.' * 3000 + 'x'",
        "'1 + ' * 3000 + '1'",
        "'1 if 1 else ' * 2000 + '1'",
        "'f' * 10 + '(lambda: [' * 90 + '])' * 90",
        "'x[' * 199 + '0' + ']' * 199",
    ],
)
def test_deeply_nested_source_compiles_or_is_an_error(source):
    on_a_thread = ("compiled", "RecursionError", "MemoryError", "SyntaxError")
    assert outcome("", f"compile({source}, 'source', 'eval') and 'compiled'") in on_a_thread


@pytest.mark.parametrize("levels", [10, 25, 60])
def test_source_may_be_compiled_from_within_calls_of_c(levels):
    # As deep as the budget for calls of C allows; the parser counts its own depth only.
    define = f"""
    def within(n):
        if n: return sorted([n], key=lambda _: within(n - 1))
        for source in ("(" * 199 + ")" * 199, "lambda: " * 2000 + "1", "not " * 3000 + "1"):
            try: compile(source, "source", "eval")
            except (RecursionError, MemoryError): pass
        return []
    """
    assert outcome(define, f"bool(within({levels}))") in ("True", "RecursionError")


def test_what_is_common_works_as_on_a_thread():
    define = """
    @functools.lru_cache(None)
    def cached(n): return n and cached(n - 1) + 1
    """
    calls = ["cached(300)", "depth(pickle.loads(pickle.dumps(nested(400))))", "depth(map_of(100))", "repr(nested(190)).count('[')",
             "depth(json.loads(json.dumps(nested(190))))", "depth(copy.deepcopy(nested(190)))"]  # fmt: skip
    assert outcome(define, f"({', '.join(calls)})") == "(300, 400, 100, 191, 190, 190)"


ENDLESS = {
    "a function": "def endless(): return endless()",
    "repr": """
        class C:
            def __repr__(self): return repr(self)
        def endless(): return repr(C())
        """,
    "str.format": """
        class C:
            def __format__(self, spec): return f"{self}"
        def endless(): return f"{C()}"
        """,
    "getattr": """
        class C:
            def __getattr__(self, name): return getattr(self, name + "x")
        def endless(): return C().a
        """,
    "property": """
        class C:
            @property
            def a(self): return self.a
        def endless(): return C().a
        """,
    "eq": """
        class C:
            def __eq__(self, other): return [self] == [C()]
        def endless(): return C() == C()
        """,
    "init": """
        class C:
            def __init__(self): self.other = C()
        def endless(): return C()
        """,
    "call": """
        class C:
            def __call__(self, *a, **k): return self(*a, x=1)
        def endless(): return C()()
        """,
    "a sort key": "def endless(x=0): return sorted([3, 1, 2], key=endless)",
    "list.sort": """
        def endless(x=0):
            items = [3, 1, 2]
            items.sort(key=endless)
        """,
    "max": "def endless(x=0): return max([3, 1, 2], key=endless)",
    "map": "def endless(x=0): return list(map(endless, [1, 2]))",
    "filter and sum": "def endless(x=0): return sum(filter(endless, [1, 2]))",
    "re.sub": "def endless(x=0): return re.sub('a', endless, 'aaa')",
    "a generator": """
        def generator(): yield from generator()
        def endless(): return next(generator())
        """,
    "nested generator expressions": "def endless(x=0): return list(endless() for _ in [1])",
    "with": """
        class C:
            def __enter__(self):
                with self: pass
            def __exit__(self, *exc): pass
        def endless():
            with C(): pass
        """,
    "a decorator of C": """
        @functools.lru_cache(None)
        def endless(n=0): return endless(n + 1)
        """,
    "partial": """
        def function(): return functools.partial(functools.partial(function))()
        endless = function
        """,
    "exec": "def endless(): exec('endless()')",
    "eval": "def endless(): return eval('endless()')",
    "json": """
        def default(o): return json.dumps(object(), default=default)
        def endless(): return json.dumps(object(), default=default)
        """,
    "pickle": """
        class C:
            def __reduce__(self): return C, (C(),)
        def endless(): return pickle.dumps(C())
        """,
    "deepcopy": """
        class C:
            def __deepcopy__(self, memo): return copy.deepcopy(C(), memo)
        def endless(): return copy.deepcopy(C())
        """,
    "instancecheck": """
        class M(type):
            def __instancecheck__(self, o): return isinstance(o, self)
        class C(metaclass=M): pass
        def endless(): return isinstance(1, C)
        """,
    "int": """
        class C:
            def __int__(self): return int(C())
            def __index__(self): return [1][C()]
        def endless(): return [1][C()]
        """,
    "str.join": """
        class S(list):
            def __iter__(self): return iter([str().join(S([1]))])
        def endless(): return str().join(S([1]))
        """,
    "an except block": """
        def endless():
            try: raise ValueError
            except ValueError: endless()
        """,
    "the class statement": """
        def endless():
            class C(metaclass=lambda *a: endless()): pass
        """,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_recursion_without_end_is_a_recursion_error(what):
    assert outcome(ENDLESS[what], "endless()") == "RecursionError"


def test_recursion_without_end_through_start_and_join_of_goroutines_is_not_limited_by_a_stack():
    define = """
    def level(n, results):
        if n: gort.go(level, n - 1, results).join()
        results.append(n)
    def levels():
        results = []
        level(3000, results)
        return results == list(range(3001))
    """
    assert outcome(define, "levels()") == "True"


def test_the_limit_that_a_program_sets_holds_in_goroutines():
    define = """
    def counted(n=0):
        try: return counted(n + 1)
        except RecursionError: return n
    def limits():
        counts = []
        for limit in (300, 3000, 1000):
            sys.setrecursionlimit(limit)
            counts.append(counted() // (limit - 100))
        return counts
    """
    assert outcome(define, "str(limits())") == "[1, 1, 1]"
