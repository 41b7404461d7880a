import os
import subprocess
import sys

import pytest

from echo_asr.distributed.heartbeat import is_gone

pytest.importorskip("psutil")


def test_processes_that_have_ended_are_gone() -> None:
    """Nothing may be sent to them to find out: on Windows the signal 0 is Ctrl-C."""
    assert not is_gone(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert not is_gone(child.pid)
        child.communicate(b"\n")
        assert is_gone(child.pid)
    finally:
        child.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies")
def test_so_are_those_whose_status_nobody_has_asked_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        output.read()  # until it ends
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(child.pid)
    child.wait()
