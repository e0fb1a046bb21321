"""gort demo: the main job, as a command."""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time

import pytest

SOURCE = "def f(alpha, beta):\n    return alpha + beta + alpha\n\nclass Größe:\n    pass\n"


def gort(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "gort", *map(str, arguments)], capture_output=True, text=True, timeout=120, encoding="utf-8", **options
    )


@pytest.fixture
def tree(tmp_path):
    """50 files in 5 folders: alpha 150 times, beta 100, f, Größe, name_0 ... once a file."""
    for i in range(50):
        folder = tmp_path / f"part{i % 5}"
        folder.mkdir(exist_ok=True)
        (folder / f"m{i}.py").write_text(SOURCE + f"name_{i} = 1\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("alpha alpha")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.py").write_text("alpha")
    return tmp_path


def counted(result):
    return {row["identifier"]: row["times"] for row in json.loads(result.stdout)["identifiers"]["top"]}


def test_counts_what_is_there(tree):
    result = gort("demo", tree, "--json", "--check")
    assert result.returncode == 0, result.stderr
    data = json.loads(result.stdout)
    top = counted(result)
    assert top["alpha"] == 150 and top["beta"] == 100 and top["f"] == 50 and top["Größe"] == 50
    assert data["files"]["found"] == data["files"]["counted"] == 50
    assert data["identifiers"]["total"] == 400 and data["identifiers"]["distinct"] == 54
    assert data["check"] == {"differences": []}
    assert data["ended"] == "finished"
    assert [lane["name"] for lane in data["scheduler"]["state"]["lanes"]] == ["native", "python"]
    assert data["scheduler"]["stats"]["totals"]["spawns"] >= 10
    assert result.stderr == ""


def test_prints_plain_text_when_not_a_terminal(tree):
    result = gort("demo", tree, "--check")
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert re.search(r"^  alpha +150$", result.stdout, re.M)
    for title in ("Identifiers", "Scheduler", "Collections", "Waits for locks"):
        assert re.search(rf"^{title}", result.stdout, re.M)
    assert "no difference" in result.stdout


def test_the_collector_starts_by_itself_on_real_input_and_the_lock_is_contended():
    for _ in range(10):  # on a single CPU, when the machine stalls the other, nobody may meet at the lock
        result = gort("demo", "--limit", 300, "--json", "--check")
        assert result.returncode == 0, result.stderr
        data = json.loads(result.stdout)
        assert data["check"] == {"differences": []}
        assert [c for c in data["collections"] if c["reason"] == "heap"]
        assert data["identifiers"]["total"] > 10000
        if any(row["name"] == "merge lock" for row in data["contention"]):
            return
    pytest.fail("nobody ever waited for the merge lock")


def test_limit_counts_the_first_files(tree):
    result = gort("demo", tree, "--limit", 7, "--json", "--check")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["files"]["counted"] == 7
    assert counted(result)["f"] == 7


def test_a_directory_that_does_not_exist_is_named_and_the_rest_counted(tree):
    result = gort("demo", tree / "nowhere", tree, "--json", "--check")
    assert result.returncode == 2
    assert result.stderr.strip() == f"gort demo: {tree}/nowhere: no such directory"
    assert counted(result)["f"] == 50


def test_an_unreadable_file_is_named_and_the_rest_counted(tree):
    (tree / "dangling.py").symlink_to(tree / "nothing")
    (tree / "loop.py").symlink_to(tree / "loop.py")
    os.mkfifo(tree / "pipe.py")
    result = gort("demo", tree, "--json", "--check")
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"gort demo: {tree}/dangling.py: cannot be read: No such file or directory"
    assert lines[2] == f"gort demo: {tree}/pipe.py: cannot be read: is not a regular file"
    assert counted(result)["f"] == 50


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tree):
    (tree / "secret.py").write_text("x")
    (tree / "secret.py").chmod(0)
    result = gort("demo", tree, "--json")
    assert result.returncode == 2
    assert "secret.py: cannot be read: Permission denied" in result.stderr


def test_a_binary_file_is_named_and_the_rest_counted(tree):
    (tree / "binary.py").write_bytes(b"\x7fELF\0\1\2" * 100)
    (tree / "coding.py").write_bytes(b"# -*- coding: no-such-thing -*-\n")
    (tree / "latin.py").write_bytes(b"x = '\xe4'\n")
    (tree / "open.py").write_text("x = (1,\n")
    result = gort("demo", tree, "--json", "--check")
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert [line.split(":")[1].strip().rpartition("/")[2] for line in lines] == ["binary.py", "coding.py", "latin.py", "open.py"]
    assert "left out: it is a binary file (a zero byte at offset 4)" in lines[0]
    assert all("left out: it is not Python source" in line for line in lines[1:])
    assert counted(result)["f"] == 50


def test_check_fails_on_a_difference(tree):
    script = (
        "import sys\n"
        "from gort.demo import recount\n"
        "real = recount.recount\n"
        "def wrong(*arguments):\n"
        "    counts, problems = real(*arguments)\n"
        "    counts['alpha'] += 1\n"
        "    return counts, problems\n"
        "recount.recount = wrong\n"
        "from gort.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "demo", str(tree), "--check"], capture_output=True, text=True, timeout=120, encoding="utf-8"
    )
    assert result.returncode == 1
    assert "check failed: 1 difference" in result.stderr
    assert "'alpha': counted 150, plain Python finds 151" in result.stderr


def test_an_empty_folder_counts_nothing(tmp_path):
    result = gort("demo", tmp_path, "--check")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("0 files")


def test_timeout_ends_the_count(tmp_path):
    result = gort("demo", "--timeout", 0.2, "--json")
    assert result.returncode == 124, result.stderr
    data = json.loads(result.stdout)
    assert data["ended"] == "timeout"
    assert data["files"]["counted"] < data["files"]["found"] or data["files"]["found"] == 0
    assert "stopped after 0.2 s (--timeout)" in result.stderr


def test_ctrl_c_ends_the_count_and_shows_what_there_is():
    often = [sysconfig.get_path("stdlib")] * 20  # a small library on a fast machine is counted before there is any progress to show
    process = subprocess.Popen(
        [sys.executable, "-m", "gort", "demo", *often], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    first = process.stderr.readline()  # the first line of progress
    assert first.startswith("gort demo: "), (first, process.communicate(timeout=60), process.returncode)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 30
    assert process.returncode == 130, err
    assert "interrupted; " in err
    assert "Traceback" not in err
    assert "Scheduler" in out


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--limit", "0"], "must be a whole number above 0, got '0'"),
        (["--limit", "x"], "must be a whole number, got 'x'"),
        (["--timeout", "nan"], "must be a number of seconds above 0, got 'nan'"),
        (["--timeout", "-1"], "above 0"),
        (["--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_wrong_arguments(arguments, text):
    result = gort("demo", *arguments)
    assert result.returncode == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_help_tells_the_exit_status():
    result = gort("demo", "--help")
    assert result.returncode == 0
    for status in ("0 ", "1 ", "2 ", "124 ", "130 "):
        assert re.search(rf"^  {status}", result.stdout, re.M)


def test_without_a_command_the_usage_is_shown():
    assert gort().returncode == 2
    assert gort("--version").stdout.startswith("gort ")


def test_a_reader_that_leaves_early_is_no_error(tree):
    process = subprocess.Popen(
        [sys.executable, "-m", "gort", "demo", str(tree), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    err = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in err
