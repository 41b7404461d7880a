"""Wheels of all that Echo needs, on the systems that people have: docs/platforms.md says where one is missing."""

import json
import re
import tomllib
import urllib.request
from functools import cache
from pathlib import Path
from urllib.error import URLError

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {
    "Windows": (re.compile(r"any|win_amd64"), {"sys_platform": "win32", "platform_system": "Windows"}),
    "Apple silicon": (
        re.compile(r"any|macosx_(1[0-4])_\d+_(arm64|universal2)"),
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    ),
}
SIMPLE = "https://pypi.org/simple/{}/"


def requirements() -> dict[str, list[Requirement]]:
    """What Echo needs, and each of its extras but those of its developers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"echo-asr": project["dependencies"], **project["optional-dependencies"]}
    return {name: [Requirement(text) for text in texts] for name, texts in groups.items() if name != "test"}


@cache
def wheels(name: str) -> list[tuple[str, frozenset[Tag]]]:
    """Version and tags of each wheel of a distribution."""
    asked = urllib.request.Request(SIMPLE.format(name), headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            files = json.load(answer)["files"]
    except (URLError, OSError, ValueError, KeyError) as error:
        pytest.skip(f"no package index: {error}")
    found = []
    for file in files:
        try:
            _, version, _, tags = parse_wheel_filename(file["filename"])
        except InvalidWheelFilename:
            continue
        if not file.get("yanked"):
            found.append((str(version), tags))
    return found


def fits(tag: Tag, python: str, platforms: re.Pattern[str]) -> bool:
    own = f"cp{python.replace('.', '')}"
    stable = tag.abi == "abi3" and tag.interpreter.startswith("cp3") and int(tag.interpreter[3:]) <= int(own[3:])
    return (tag.interpreter in (own, "py3") or stable) and platforms.fullmatch(tag.platform) is not None


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("extra", requirements())
def test_there_is_a_wheel(extra: str, system: str, python: str) -> None:
    platforms, markers = SYSTEMS[system]
    here = {**markers, "python_version": python, "python_full_version": f"{python}.0"}
    missing = [
        str(one)
        for one in requirements()[extra]
        if (one.marker is None or one.marker.evaluate(here))
        and not any(
            one.specifier.contains(version) and any(fits(tag, python, platforms) for tag in tags)
            for version, tags in wheels(one.name)
        )
    ]
    assert missing == []
