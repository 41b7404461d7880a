"""The pages: links lead to a page and a heading, commands are accepted, Python compiles, and the site builds."""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

from echo_asr import vrope
from echo_asr.cli import _parser
from echo_asr.renamed import RENAMED
from tests.helpers.options import option_names
from tests.helpers.pages import DOCS, ROOT, blocks, commands, prose

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
RECIPES = ROOT / "src" / "echo_asr" / "train" / "recipes"
RECORDED = ("RESULTS.md", "LOG.md")  # commands as they were run, with the names of their day

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page, and so does the site."""
    headings = re.findall(r"^#+ +(.*?) *$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@every_page
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    studies = set(re.findall(r"(?<![\w/.-])(studies/\w+\.yaml)", text))
    assert [name for name in studies if not (ROOT / name).exists()] == []
    recipes = set(re.findall(r"(?<![\w/.-])configs/([a-z]\w+)\.yaml", text))
    assert [name for name in recipes if not (RECIPES / f"{name}.yaml").exists()] == []
    assert not recipes or page.name in (*RECORDED, "CHANGELOG.md"), "recipes have names: echo-asr train NAME"


@every_page
def test_commands_of_a_page_are_accepted(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = page.name in RECORDED
    for words in commands(page):
        options = [number for number, word in enumerate(words) if re.match(r"--\w+\.", word)]  # each has a value
        own = [word for number, word in enumerate(words) if not {number, number - 1} & set(options)]
        try:
            arguments, rest = _parser().parse_known_args(own)
        except SystemExit:
            pytest.fail(f"echo-asr {' '.join(words)}: {capsys.readouterr().err}")
        assert rest == [], words
        known = {*option_names(), "model.preset", *(RENAMED if recorded else ())}
        assert {words[number].removeprefix("--") for number in options} - known == set(), words
        if arguments.command == "transcribe" and len(arguments.audio) > 1:
            assert arguments.output_dir or arguments.format in ("txt", "json"), words
        if arguments.command == "train" and not recorded:
            recipe = str(arguments.config)
            assert (RECIPES / f"{recipe}.yaml").exists() or recipe.endswith(".yaml") or recipe.isupper(), words


def test_commands_are_found() -> None:
    assert sum(1 for page in PAGES for _ in commands(page)) > 60
    assert ["evaluate", "runs/clean", "mandarin", "--split", "test"] in list(commands(ROOT / "RESULTS.md"))


@every_page
def test_commands_within_sentences_exist(page: Path) -> None:
    names = set(_parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr, arg-type]
    named = re.findall(r"`echo-asr ([a-z]+)", prose(page))
    assert set(named) - names == set()


@every_page
def test_python_of_a_page_compiles(page: Path) -> None:
    for code in blocks(page, "python"):
        ast.parse(code)


def test_earlier_names_of_options_stand_where_people_look() -> None:
    for page in (ROOT / "CHANGELOG.md", DOCS / "options.md"):
        text = page.read_text(encoding="utf-8")
        named = [(earlier, now) for earlier, (now, _) in RENAMED.items() if f"`{earlier}" in text and f"`{now}" in text]
        assert named == [(earlier, now) for earlier, (now, _) in RENAMED.items()]


def test_the_parts_of_vrope_go_together_as_its_page_shows() -> None:
    modes = vrope.VRoPEModes(theta="axis")
    track = vrope.PitchTrack.from_f0(120 + 60 * torch.rand(2, 9))
    query, key, value = torch.randn(3, 2, 4, 9, 16).unbind()  # (B, H, F, K)
    names = {**vars(vrope), "modes": modes, "pairs": 8, "heads": 4, "width": 16, "track": track}
    names.update(query=query, key=key, value=value)
    (code,) = blocks(DOCS / "vrope.md", "python")
    exec(code, names)
    assert names["out"].shape == value.shape and names["out"].isfinite().all()


def test_what_the_reference_names_exists() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("reference/*.md"))
    named = re.findall(r"^::: (\S+)\n((?: .*\n)*)", pages, flags=re.MULTILINE)
    assert len(named) > 15
    for name, options in named:
        module = importlib.import_module(name)
        members = re.findall(r"\w+", "".join(re.findall(r"members: \[(.*)\]", options)))
        assert [member for member in members if not hasattr(module, member)] == [], name


def test_findings_are_short() -> None:
    assert len((DOCS / "findings.md").read_text(encoding="utf-8").split()) <= 1500


def test_headings_of_the_log_have_a_date_and_an_outcome() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "LOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert all(re.match(r"20\d\d-\d\d-\d\d: \w.{30,}", heading) for heading in headings)
    assert sorted(headings, key=lambda heading: heading[:10], reverse=True) == headings  # newest first


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["cff-version"] == "1.2.0" and cited["message"] and cited["title"] and cited["authors"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    missing = [name for name in ("mkdocs", "material", "mkdocstrings") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -e '.[docs]'")
    installed = [f"BIN={Path(sys.executable).parent}", "-o", ".venv/.ready", "-o", ".venv/.docs"]
    built = subprocess.run(
        ["make", "docs", f"SITE={tmp_path / 'site'}", *installed], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stdout + built.stderr
    for page in ("index.html", "tutorial/index.html", "findings/index.html", "RESULTS/index.html"):
        assert (tmp_path / "site" / page).is_file()
    assert 'id="echo_asr.vrope.VRoPEAttention"' in (tmp_path / "site/reference/vrope/index.html").read_text()
