import os
import subprocess
import sys
from pathlib import Path

import pytest

from echo_asr.errors import EchoError
from echo_asr.libraries import FOLDERS, TELEMETRY, default_cache_root, disable_telemetry, settle_libraries
from tests.helpers.commands import PACKAGE_ROOT


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*TELEMETRY, *FOLDERS, "PYTORCH_ENABLE_MPS_FALLBACK"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))


def test_libraries_stay_within_the_cache(tmp_path: Path) -> None:
    settle_libraries()
    assert {os.environ[name] for name in TELEMETRY} == {"1"}
    assert all(Path(os.environ[name]).parent == tmp_path / "cache" for name in FOLDERS)


def test_what_a_person_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TELEMETRY, *FOLDERS):
        monkeypatch.setenv(name, "mine")
    settle_libraries()
    assert {os.environ[name] for name in (*TELEMETRY, *FOLDERS)} == {"mine"}


def test_python_is_left_its_folders() -> None:
    """Who uses Echo from Python may use matplotlib otherwise, too."""
    disable_telemetry()
    assert {os.environ[name] for name in TELEMETRY} == {"1"} and not any(name in os.environ for name in FOLDERS)


def test_telemetry_is_off_before_the_tracker_is_imported() -> None:
    code = (
        "import os, sys, numpy\n"
        "from echo_asr.features.pitch import SwiftTracker\n"
        "tracker = SwiftTracker()\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Finder())\n"
        "tracker(numpy.zeros(16000, numpy.float32), 100)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert ran.returncode == 0 and ran.stdout == "1\n", ran.stderr


@pytest.mark.parametrize("name", ["load", "Transcription"])
def test_apples_gpu_may_fall_back_before_torch_is_imported_from_python(name: str) -> None:
    """And nothing is set by importing the package, or what needs none of it."""
    code = (
        "import os, sys, echo_asr\n"
        "asked = lambda: os.environ.get('PYTORCH_ENABLE_MPS_FALLBACK')\n"
        "assert asked() is None and 'torch' not in sys.modules\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            print(asked())\n"
        "            raise SystemExit\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"echo_asr.{name}, echo_asr.load\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert ran.returncode == 0 and ran.stdout == "1\n", ran.stderr


def test_a_machine_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ECHO_ASR_CACHE")
    monkeypatch.setattr(Path, "expanduser", nowhere)
    with pytest.raises(EchoError, match="no home folder to keep a cache in; set ECHO_ASR_CACHE"):
        default_cache_root()
    settle_libraries()
    assert not any(name in os.environ for name in FOLDERS)
