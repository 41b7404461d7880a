"""ELAN files: one with all that the format has, and the rules that every one keeps."""

from __future__ import annotations

import random
import re
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser, canonicalize, fromstring, tostring

ORDER = (
    "LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT",
    "CONTROLLED_VOCABULARY", "LEXICON_REF", "REF_LINK_SET", "EXTERNAL_REF",
)  # fmt: skip
TEXTS = (
    "",
    "",
    " ",
    "",
    "một hai",
    "R&amp;D &lt;x&gt;",
    "<![CDATA[a > b & c]]>",
    "&#9834; la",
    " two  blanks ",
    "'\"",
    "line&#10;break",
)


def full_elan(seed: int, header: bool = True) -> str:
    """An ``.eaf`` file with tiers of every kind, references, vocabularies, comments, and what no schema knows.

    Args:
        header: with the number of the last annotation.
    """
    draw = random.Random(seed)
    count = draw.randint(1, 8)  # phrases
    marks = sorted(draw.sample(range(100, 9_000), 2 * count))
    slots = [f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{mark}"/>' for n, mark in enumerate(marks, 1)]
    slots.insert(draw.randrange(len(slots)) + 1, '<TIME_SLOT TIME_SLOT_ID="ts900"/>')  # without a time, and unused
    ids = iter(range(1, 10_000))
    phrases = [f"a{next(ids)}" for _ in range(count)]
    text = lambda: draw.choice(TEXTS)  # noqa: E731

    def aligned(place: int) -> str:
        ends = f'TIME_SLOT_REF1="ts{2 * place + 1}" TIME_SLOT_REF2="ts{2 * place + 2}"'
        more = draw.choice(("", ' SVG_REF="s1"', ' EXT_REF="er1"', ' xx:own="unknown"'))
        return (
            f"<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID='{phrases[place]}' {ends}{more}>"
            f"{value(text())}</ALIGNABLE_ANNOTATION></ANNOTATION>"
        )

    def value(inner: str) -> str:
        return (
            f"<ANNOTATION_VALUE>{inner}</ANNOTATION_VALUE>" if inner or draw.random() < 0.5 else "<ANNOTATION_VALUE/>"
        )

    def referring(parent: str, previous: str = "", inner: str | None = None, more: str = "") -> tuple[str, str]:
        name = f"a{next(ids)}"
        after = f' PREVIOUS_ANNOTATION="{previous}"' if previous else ""
        start = f'<REF_ANNOTATION ANNOTATION_ID="{name}" ANNOTATION_REF="{parent}"{after}{more}>'
        inner = value(text() if inner is None else inner)
        return name, f"<ANNOTATION>{start}{inner}</REF_ANNOTATION></ANNOTATION>"

    words: list[str] = []
    for phrase in phrases:
        name, line = referring(phrase, inner="one")
        words += [line, referring(phrase, name, "two")[1]]
    gloss = [referring(phrase)[1] for phrase in phrases]
    pos = [referring(phrase, inner="noun", more=' CVE_REF="cve1"')[1] for phrase in phrases]
    included = ""
    if count > 1:
        included = (
            f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{next(ids)}" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">'
            "<ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>"
        )
    order = ("\n        " if draw.random() < 0.8 else "").join(slots)
    last = f'<PROPERTY NAME="lastUsedAnnotationId">{next(ids) - 1}</PROPERTY>' if header else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment before all -->
<?own instruction?>
<ANNOTATION_DOCUMENT AUTHOR="Ana &amp; Lan" DATE="2024-03-01T10:00:00+01:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xx="urn:own"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
    <LICENSE LICENSE_URL="https://example.org/l">free</LICENSE>
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Users/ana/my%20rec.wav" MIME_TYPE="audio/x-wav"
            RELATIVE_MEDIA_URL="./my%20rec.wav"/>
        <LINKED_FILE_DESCRIPTOR LINK_URL="file:///C:/f0.csv" MIME_TYPE="text/plain" RELATIVE_LINK_URL="./f0.csv"
            TIME_ORIGIN="5"/>
        <PROPERTY NAME="URN">urn:nl-mpi-tools-elan-eaf:0b5d</PROPERTY>
        {last}
    </HEADER>
    <TIME_ORDER>
        {order}
    </TIME_ORDER>
    <!-- <TIER TIER_ID="no tier"/> -->
    <TIER ANNOTATOR="Ana" DEFAULT_LOCALE="vi" LANG_REF="vie" LINGUISTIC_TYPE_REF="utterance" PARTICIPANT="Lan"
        TIER_ID="tx">
        {"".join(map(aligned, range(count)))}
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="word" PARENT_REF="tx" TIER_ID="wd">{"".join(words)}</TIER>
    <TIER LINGUISTIC_TYPE_REF="gloss" PARENT_REF="tx" TIER_ID="ft&gt;">{"".join(gloss)}</TIER>
    <TIER LINGUISTIC_TYPE_REF="pos" PARENT_REF="tx" TIER_ID="ps">{"".join(pos)}</TIER>
    <TIER LINGUISTIC_TYPE_REF="noise" PARENT_REF="tx" TIER_ID="nz">{included}</TIER>
    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="utterance" TIME_ALIGNABLE="true"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Subdivision" GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="word"
        TIME_ALIGNABLE="false"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association" GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="gloss"
        TIME_ALIGNABLE="false"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association" CONTROLLED_VOCABULARY_REF="pos" GRAPHIC_REFERENCES="false"
        LINGUISTIC_TYPE_ID="pos" TIME_ALIGNABLE="false"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Included_In" GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="noise"
        TIME_ALIGNABLE="true"/>
    <LOCALE COUNTRY_CODE="VN" LANGUAGE_CODE="vi"/>
    <LANGUAGE LANG_DEF="http://cdb.iso.org/lg/CDB-00138502-001" LANG_ID="vie" LANG_LABEL="Vietnamese (vie)"/>
    <CONSTRAINT DESCRIPTION="1-1 association with a parent annotation" STEREOTYPE="Symbolic_Association"/>
    <CONTROLLED_VOCABULARY CV_ID="pos">
        <DESCRIPTION LANG_REF="vie">parts of speech</DESCRIPTION>
        <CV_ENTRY_ML CVE_ID="cve1" EXT_REF="er1"><CVE_VALUE DESCRIPTION="a noun"
            LANG_REF="vie">noun</CVE_VALUE></CV_ENTRY_ML>
    </CONTROLLED_VOCABULARY>
    <LEXICON_REF DATCAT_ID="d" DATCAT_NAME="n" LEXICON_ID="l" LEXICON_NAME="Lex" LEX_REF_ID="lr1" NAME="lex" TYPE="t"
        URL="u"/>
    <REF_LINK_SET LINK_SET_ID="rls1" LINK_SET_NAME="links"><CROSS_REF_LINK REF1="a1" REF2="a{count}"
        REF_LINK_ID="rl1"/></REF_LINK_SET>
    <EXTERNAL_REF EXT_REF_ID="er1" TYPE="iso12620" VALUE="http://example.org/1"/>
    <xx:OWN unknown="&quot;é&quot;"><![CDATA[<kept>]]></xx:OWN>
</ANNOTATION_DOCUMENT>
<!-- a comment after all -->
"""


def canonical(data: bytes | str) -> str:
    """Canonical XML with comments, without the blanks between elements."""
    text = data if isinstance(data, str) else tostring(parsed(data), encoding="unicode")
    return canonicalize(text, with_comments=True, strip_text=True)


def parsed(data: bytes) -> Element:
    """The tree of a file with its comments and instructions."""
    parser = XMLParser(target=TreeBuilder(insert_comments=True, insert_pis=True))
    parser.feed(data)
    root = parser.close()
    assert isinstance(root, Element)
    return root


def without_tier(data: bytes, original: bytes, tier: str) -> bytes:
    """A file without a tier, and without the time slots and the linguistic types that the original lacks; with the
    number of its last annotation."""
    root, before = parsed(data), parsed(original)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "TIER" and child.get("TIER_ID") == tier:
                parent.remove(child)
            for tag, name in (("TIME_SLOT", "TIME_SLOT_ID"), ("LINGUISTIC_TYPE", "LINGUISTIC_TYPE_ID")):
                if child.tag == tag and child.get(name) not in {e.get(name) for e in before.iter(tag)}:
                    parent.remove(child)
            if child.get("NAME") == "lastUsedAnnotationId":
                own = [e for e in before.iter("PROPERTY") if e.get("NAME") == "lastUsedAnnotationId"]
                if own:
                    child.text = own[0].text
                else:
                    parent.remove(child)
    return tostring(root, encoding="utf-8")


def assert_rules(path: Path) -> None:
    """What the schema and ELAN ask for: the order of elements, unique ids, references that lead somewhere, times in
    order, annotations that last and do not overlap, children within their parents."""
    root = fromstring(path.read_bytes())
    tags = [child.tag for child in root if child.tag in ORDER]
    assert tags == sorted(tags, key=ORDER.index) and tags.count("HEADER") == tags.count("TIME_ORDER") == 1
    assert {"AUTHOR", "DATE", "VERSION"} <= set(root.keys())
    times = {slot.attrib["TIME_SLOT_ID"]: int(slot.get("TIME_VALUE", -1)) for slot in root.iter("TIME_SLOT")}
    stated = [time for time in times.values() if time >= 0]
    assert stated == sorted(stated) and len(times) == len(list(root.iter("TIME_SLOT")))
    types = {kind.attrib["LINGUISTIC_TYPE_ID"]: kind for kind in root.iter("LINGUISTIC_TYPE")}
    assert len(types) == len(list(root.iter("LINGUISTIC_TYPE")))
    tiers = {tier.attrib["TIER_ID"]: tier for tier in root.iter("TIER")}
    assert len(tiers) == len(list(root.iter("TIER")))
    ids = [e.attrib["ANNOTATION_ID"] for e in root.iter() if "ANNOTATION_ID" in e.attrib]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"a\d+", name) for name in ids)
    (last,) = [p.text for p in root.iter("PROPERTY") if p.get("NAME") == "lastUsedAnnotationId"]
    assert int(last or 0) >= max((int(name[1:]) for name in ids), default=0)
    spans = {}
    for tier in tiers.values():
        kind = types[tier.attrib["LINGUISTIC_TYPE_REF"]]
        assert ("PARENT_REF" in tier.attrib) == ("CONSTRAINTS" in kind.attrib)
        own = []
        for element in tier.iter("ALIGNABLE_ANNOTATION"):
            assert kind.get("TIME_ALIGNABLE") == "true" and len(element.findall("ANNOTATION_VALUE")) == 1
            own.append((times[element.attrib["TIME_SLOT_REF1"]], times[element.attrib["TIME_SLOT_REF2"]]))
            spans[element.attrib["ANNOTATION_ID"]] = (tier.attrib["TIER_ID"], *own[-1])
        assert all(0 <= start < end for start, end in own)
        assert all(first[1] <= second[0] for first, second in zip(own, own[1:], strict=False))
        if kind.get("CONSTRAINTS") == "Included_In":
            above = [span[1:] for span in spans.values() if span[0] == tier.get("PARENT_REF")]
            assert all(any(a <= start and end <= b for a, b in above) for start, end in own)
        for element in tier.iter("REF_ANNOTATION"):
            assert kind.get("TIME_ALIGNABLE") == "false" and element.attrib["ANNOTATION_REF"] in ids
