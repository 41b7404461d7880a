"""SwiftF0 on Echo's clock of 10 ms."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from echo_asr.errors import EchoError
from echo_asr.features.pitch import SwiftTracker, make_tracker


def test_the_session_is_made_at_the_first_call() -> None:
    swift = SwiftTracker()
    assert swift._session is None
    swift(np.zeros(160, np.float32), 1)
    assert swift._session is not None
    assert pickle.loads(pickle.dumps(swift))._session is None


def test_swift_f0_is_interpolated_along_octaves_between_voiced_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements every 16 ms, here at 10 ms frames 0, 1.6, 3.2, 4.8 and 6.4."""
    found = SimpleNamespace(
        pitch_hz=np.array([100.0, 120.0, 400.0, 999.0, 150.0]), confidence=np.array([0.9, 0.9, 0.9, 0.05, 0.9])
    )
    swift = SwiftTracker()
    monkeypatch.setattr(swift, "_detector", lambda: SimpleNamespace(detect=lambda *_, **__: found))
    f0, periodicity = swift(np.zeros(1120, np.float32), 7)
    np.testing.assert_allclose(periodicity, np.interp(np.arange(7), 1.6 * np.arange(5), found.confidence), rtol=1e-6)
    blended = 100.0 * 1.2 ** (1 / 1.6)
    # Frames 2 and 3 lie across a leap: the nearer value. Frame 4 is unvoiced; 5 and 6: the second neighbour holds.
    np.testing.assert_allclose(f0, [100.0, blended, 120.0, 400.0, 0.0, 0.0, 150.0], rtol=1e-6)


def test_swift_f0_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(EchoError, match=r"swiftf0 needs the extra .*pip install 'echo-asr\[swiftf0\]'"):
        make_tracker("swiftf0")
