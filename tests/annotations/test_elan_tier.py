"""A tier is added to an ELAN file, of which all else stays as it was."""

from __future__ import annotations

import codecs
import random
from pathlib import Path

import pympi
import pytest

from echo_asr.annotations.elan import read_elan_document
from echo_asr.annotations.elan_tier import add_tier
from echo_asr.annotations.elan_writer import render_elan
from echo_asr.annotations.phrases import Phrase
from echo_asr.errors import EchoError
from tests.helpers.elan import assert_rules, canonical, full_elan, without_tier
from tests.helpers.slow import slow

PHRASES = [Phrase(0, 120, "một"), Phrase(120, 4000, "R&D ♪ <x>"), Phrase(8999, 9000, "ba"), Phrase(20_000, 21_000, "z")]


def encoded(text: str, way: str) -> bytes:
    """A file in some encoding, with a declaration of it."""
    if way == "utf-8":
        return text.encode()
    if way == "bom":
        return codecs.BOM_UTF8 + text.encode()
    if way == "crlf":
        return text.replace("\n", "\r\n").encode()
    text = text.replace('encoding="UTF-8"', f'encoding="{way}"')
    return text.encode(way, "strict" if way.startswith("utf") else "xmlcharrefreplace")


WAYS = ("utf-8", "bom", "crlf", "utf-16", "iso-8859-1")


def added(path: Path, name: str, phrases: list[Phrase], overwrite: bool = False) -> bytes:
    data = add_tier(read_elan_document(path), name, phrases, overwrite)
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("count", [20, slow(200)])
def test_all_but_the_tier_is_equal(count: int, tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    for seed in range(count):
        draw = random.Random(seed)
        before = encoded(full_elan(seed, header=draw.random() < 0.8), WAYS[seed % len(WAYS)])
        path.write_bytes(before)
        phrases = [phrase for phrase in PHRASES if draw.random() < 0.8]
        after = added(path, 'echo "1" & more', phrases)
        assert_rules(path)
        assert canonical(without_tier(after, before, 'echo "1" & more')) == canonical(before)
        read = pympi.Eaf(str(path))
        assert sorted(read.get_annotation_data_for_tier('echo "1" & more')) == [phrase[:3] for phrase in phrases]
        assert after.splitlines()[:3] == before.splitlines()[:3]  # the declaration, and what stands before the root
        assert after.splitlines()[-1] == before.splitlines()[-1]


def test_the_tier_is_overwritten_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    path.write_text(full_elan(3), encoding="utf-8")
    added(path, "echo", PHRASES)
    once = path.read_bytes()
    with pytest.raises(
        EchoError, match=r"x\.eaf has a tier 'echo' already; choose another --tier, or give --overwrite"
    ):
        added(path, "echo", PHRASES)
    assert path.read_bytes() == once
    for _ in range(3):
        again = added(path, "echo", PHRASES[:2], overwrite=True)
        assert_rules(path)
        found = pympi.Eaf(str(path)).get_annotation_data_for_tier("echo")
        assert sorted(found) == [phrase[:3] for phrase in PHRASES[:2]]
    assert again.count(b"<TIME_SLOT ") == once.count(b"<TIME_SLOT ") - 4, "no unused times are left"
    assert len(again) < len(once)


def test_attributes_of_a_tier_that_is_overwritten_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    tier = '<TIER ANNOTATOR="Ana" LINGUISTIC_TYPE_REF="utterance" PARTICIPANT="Lan" TIER_ID="mine"/>'
    path.write_text(
        full_elan(3).replace('<TIER LINGUISTIC_TYPE_REF="word"', tier + '<TIER LINGUISTIC_TYPE_REF="word"'),
        encoding="utf-8",
    )
    data = added(path, "mine", PHRASES, overwrite=True)
    assert b'<TIER ANNOTATOR="Ana" LINGUISTIC_TYPE_REF="utterance" PARTICIPANT="Lan" TIER_ID="mine">' in data
    assert len(pympi.Eaf(str(path)).get_annotation_data_for_tier("mine")) == 4


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ("tx", r"tiers depend on 'tx', which are wd, ft>, ps, nz; choose another --tier"),
        ("wd", r"tier 'wd' depends on 'tx' and has no times of its own; choose another --tier"),
    ],
)
def test_tiers_that_cannot_be_overwritten(tier: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.eaf").write_text(full_elan(0), encoding="utf-8")
    with pytest.raises(EchoError, match=message):
        added(tmp_path / "x.eaf", tier, PHRASES, overwrite=True)


@pytest.mark.parametrize(
    ("types", "name"),
    [
        ('<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="phrase" TIME_ALIGNABLE="true"/>', "phrase"),
        ('<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="phrase" CONSTRAINTS="Included_In" TIME_ALIGNABLE="true"/>', "phrase-2"),
        ('<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="phrase" TIME_ALIGNABLE="false"/>', "phrase-2"),
        (
            '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="phrase" CONTROLLED_VOCABULARY_REF="pos" TIME_ALIGNABLE="true"/>',
            "phrase-2",
        ),
    ],
)
def test_the_linguistic_type(types: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    path.write_text(full_elan(0).replace("<LOCALE", f"{types}<LOCALE", 1), encoding="utf-8")
    added(path, "echo", PHRASES)
    assert_rules(path)
    (tier,) = [t for t in read_elan_document(path).root.iter("TIER") if t.get("TIER_ID") == "echo"]
    assert tier.get("LINGUISTIC_TYPE_REF") == name


def test_a_file_without_tiers_and_times(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    path.write_text(
        '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-03-01T10:00:00Z" VERSION="3.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="x"><HEADER/><TIME_ORDER/>'
        "</ANNOTATION_DOCUMENT>",
        encoding="utf-8",
    )
    added(path, "echo", PHRASES)
    assert_rules(path)
    assert len(pympi.Eaf(str(path)).get_annotation_data_for_tier("echo")) == 4


def test_a_number_of_the_last_annotation_that_is_wrong_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    text = render_elan(PHRASES, tmp_path / "rec.wav", tmp_path)
    path.write_text(text.replace('Id">4<', 'Id"> 2 <'), encoding="utf-8")
    assert b'"lastUsedAnnotationId">8<' in added(path, "echo", PHRASES)


@pytest.mark.parametrize("part", ["HEADER", "TIME_ORDER"])
def test_a_file_that_lacks_a_part(part: str, tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    path.write_text(
        f"<ANNOTATION_DOCUMENT><{'HEADER' if part == 'TIME_ORDER' else 'TIME_ORDER'}/></ANNOTATION_DOCUMENT>"
    )
    with pytest.raises(EchoError, match=rf"x\.eaf has no {part}; save it again in ELAN"):
        added(path, "echo", PHRASES)
