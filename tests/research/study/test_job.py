"""What a study asks of the system: locks, and an end to its jobs, also where there are no signals."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from echo_asr.errors import EchoError
from echo_asr.research.study import jobs
from echo_asr.research.study.job import locked
from echo_asr.research.study.plan import slug
from tests.helpers.commands import PACKAGE_ROOT


def started(code: str, *words: str) -> "subprocess.Popen[bytes]":
    """A process that has said `ready`."""
    code = f"import sys; sys.path.insert(0, {str(PACKAGE_ROOT)!r})\n{textwrap.dedent(code)}"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline().strip() == b"ready", process.communicate()[1]
    return process


def test_a_lock_is_held_by_one_process_and_given_back_when_it_ends(tmp_path: Path) -> None:
    holder = started(
        """
        from pathlib import Path
        from echo_asr.research.study.job import locked
        with locked(Path(sys.argv[1])):
            print("ready", flush=True)
            input()
        """,
        str(tmp_path / "lock"),
    )
    with pytest.raises(EchoError, match="another study is running there; wait for it, or choose another --out"):
        with locked(tmp_path / "lock", wait=False):
            pass
    holder.kill()
    holder.wait()
    with locked(tmp_path / "lock", wait=False), pytest.raises(EchoError, match="another study"):
        with locked(tmp_path / "lock", wait=False):
            pass
    with locked(tmp_path / "lock"):
        pass


JOB = """
import signal, time
from echo_asr.research.study.job import _follow_parent
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as training has it
_follow_parent()
try:
    print("ready", flush=True)
    for _ in range(600):
        time.sleep(0.1)
except KeyboardInterrupt:
    print("saved", flush=True)
"""


@pytest.mark.parametrize("signals", [True, False])
def test_a_job_is_asked_to_stop(signals: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without signals a byte does what SIGTERM does elsewhere; `terminate` would end the job at once."""
    monkeypatch.setattr(jobs, "SIGNALS", signals)
    job = started(JOB)
    jobs._ask_to_stop(job)
    assert job.stdout is not None
    assert job.stdout.read().strip() == b"saved" and job.wait(timeout=30) == 0


def test_a_job_ends_with_its_parent() -> None:
    job = started(JOB)
    assert job.stdin is not None
    job.stdin.close()
    assert job.wait(timeout=30) == 1


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a b", "a-b"),
        ("aux", "aux-"),
        ("NUL", "NUL-"),
        ("com1.5", "com1.5-"),
        ("console", "console"),
        ('a:b?*|<>"\\/c', "a-b-c"),
        ("trailing. ", "trailing"),
        ("", "-"),
    ],
)
def test_names_are_folders_on_any_system(name: str, folder: str) -> None:
    assert slug(name) == folder


@pytest.mark.parametrize("count", [1, 300])
def test_folders_are_short_enough_for_windows(count: int, make_folders: Callable[[str], str]) -> None:
    assert len(make_folders("x" * count).encode()) <= 100


@pytest.fixture
def make_folders() -> Callable[[str], str]:
    """`(arm)`: the folder of its jobs."""

    class Arm:
        def __init__(self, name: str) -> None:
            self.name = name

    class OneArm:
        def __init__(self, name: str) -> None:
            self.arms = [Arm(name)]

    return lambda name: jobs._folders(OneArm(name), [""])[name, ""]  # type: ignore[arg-type]
