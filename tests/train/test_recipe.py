"""Recipes: found by name, by path, and by the path that they had in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echo_asr.cli import main
from echo_asr.errors import EchoError
from echo_asr.train.recipe import FOLDER, find_recipe, list_recipes, read_config


@pytest.mark.parametrize("name", ["arctic", "demo", "digits", "mandarin", "mandarin_noise"])
def test_a_recipe_is_found_by_name(name: str) -> None:
    assert read_config(name) == read_config(FOLDER / f"{name}.yaml")


def test_a_path_still_works_and_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.yaml").write_text("train: {max_steps: 7}")
    assert read_config("digits.yaml")["train"].max_steps == 7
    assert read_config("digits")["train"].max_steps > 7
    (tmp_path / "mandarin").mkdir()  # a corpus, say
    assert find_recipe("mandarin") == FOLDER / "mandarin.yaml"


def test_the_path_of_a_recipe_in_the_repository_is_read_and_one_line_names_the_recipe() -> None:
    with pytest.warns(UserWarning, match=r"configs/mandarin.yaml: no such file, .*: mandarin$") as caught:
        assert read_config("configs/mandarin.yaml") == read_config("mandarin")
    assert len(caught) == 1


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    for name in ("mandrin", "configs/mandrin.yaml"):
        with pytest.raises(EchoError, match=f"{name}: no such configuration file.*; did you mean mandarin?"):
            find_recipe(name)
    with pytest.raises(EchoError, match="xyz: no such configuration file.*; known: arctic, demo, digits"):
        find_recipe("xyz")


def test_every_recipe_says_what_it_is_for_in_its_first_line(capsys: Any) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(list_recipes()) and len(lines) >= 7
    for path in FOLDER.glob("*.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# ") and first.endswith((".", "cores.")) and first[2:] in "\n".join(lines)
