"""The licence that a folder names, and whether it forbids commercial use."""

from pathlib import Path

import pytest

from echo_asr.pretrained.licence import find_licence, is_non_commercial
from echo_asr.pretrained.source import Source
from tests.helpers.hub import COMMIT, REPO


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\r\ntags:\r\n- license\r\nlicense: cc-by-nc-4.0\r\n---\r\n", "cc-by-nc-4.0"),
        ("---\nlicense:\n- mit\n- cc-by-4.0\n---\n", "mit, cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: nvidia-open\n---\n", "nvidia-open"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [\n---\n", "MIT License"),
        ("license: apache-2.0", "MIT License"),
        (None, "MIT License"),
    ],
)
def test_the_licence_is_that_of_the_card_else_of_its_file(card: str | None, licence: str, tmp_path: Path) -> None:
    assert find_licence(tmp_path) == "unknown"
    (tmp_path / "LICENSE.txt").write_text("\n\n  MIT  License\n\nCopyright (c) 2022")
    if card is not None:
        (tmp_path / "README.md").write_bytes(card.encode())
    assert find_licence(tmp_path) == licence


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("cc-by-nc-4.0", True),
        ("cc-by-nc-sa-3.0", True),
        ("CC BY-NC 4.0", True),
        ("Attribution-NonCommercial 4.0 International", True),
        ("mit, cc_by_nc", True),
        ("some-research-only", True),
        ("cc-by-4.0", False),
        ("apache-2.0", False),
        ("Incorporated Licence", False),
        ("unknown", False),
    ],
)
def test_licences_that_forbid_commerce_are_known(licence: str, forbidden: bool, tmp_path: Path) -> None:
    assert is_non_commercial(licence) == forbidden
    line = Source(tmp_path, REPO, COMMIT, "", licence).describe()
    assert ("forbids commercial use" in line) == forbidden
    assert ("look at its card" in line) == (licence == "unknown")
    assert line.startswith(f"{REPO}@aaaaaaaaaaaa, licence {licence}")
