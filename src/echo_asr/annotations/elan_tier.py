"""Adds a tier to an ELAN file, and leaves all else in it as it is."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from xml.etree.ElementTree import Element

from echo_asr.annotations.document import Document
from echo_asr.annotations.elan_writer import (
    PHRASE,
    Span,
    aligned_element,
    number_slots,
    slot_element,
    tier_lines,
    type_element,
)
from echo_asr.annotations.phrases import Phrase
from echo_asr.audio import same_name
from echo_asr.errors import EchoError
from echo_asr.text.textfile import Change


def add_tier(document: Document, name: str, phrases: Sequence[Phrase], overwrite: bool = False) -> bytes:
    """The ``.eaf`` file with a tier of phrases added. All else in it stays as it is, byte for byte, but for the times
    of the tier, its linguistic type where that is not there, and the number of the last annotation.

    Args:
        overwrite: a tier of that name is there: its annotations are replaced; what it has else stays.

    Raises:
        EchoError: the file has the tier and it is not to be overwritten, others depend on it, or it depends on another;
            or the file lacks a part that every ``.eaf`` file has.
    """
    root = document.root
    old = existing_tier(document, name, overwrite)
    order_element, header = _required(document, "TIME_ORDER"), _required(document, "HEADER")
    last_slot = _last_number(r"ts(\d{1,15})", (slot.get("TIME_SLOT_ID", "") for slot in root.iter("TIME_SLOT")))
    counts = [p for p in root.iter("PROPERTY") if p.get("NAME") == "lastUsedAnnotationId"]
    used = [(p.text or "").strip() for p in counts]
    last = max(_last_number(r"a(\d{1,15})", _annotation_ids(root)), _last_number(r"(\d{1,15})", used))
    order, slots = number_slots([Span(p.start, p.end, p.text, 0) for p in phrases], last_slot + 1)
    annotations = [
        aligned_element(f"a{number}", *ends, phrase.text)
        for number, (phrase, ends) in enumerate(zip(phrases, slots, strict=True), last + 1)
    ]
    changes = _insert_slots(document, order_element, order)
    tiers = list(root.iter("TIER"))
    if old is not None:
        changes += _removed_slots(document, old)
        changes.append(document.refilled(old, "".join(f"\n        {a}" for a in annotations) + "\n    "))
    else:
        kind, missing = _own_type(root)
        after = document.place(tiers[-1] if tiers else order_element).end
        changes.append(Change(after, after, "".join(f"\n{line}" for line in tier_lines(name, kind, "", annotations))))
        if missing:
            types = list(root.iter("LINGUISTIC_TYPE"))
            after = document.place(types[-1]).end if types else after
            changes.append(Change(after, after, f"\n    {type_element(kind, 'true', '')}"))
    total = str(last + len(phrases))
    changes += [document.refilled(count, total) for count in counts]
    if not counts:
        line = f'    <PROPERTY NAME="lastUsedAnnotationId">{total}</PROPERTY>\n    '
        changes.append(document.appended(header, line))
    end = document.file.line_end
    return document.changed([change._replace(text=change.text.replace("\n", end)) for change in changes])


def existing_tier(document: Document, name: str, overwrite: bool) -> Element | None:
    """The tier of a name in an ``.eaf`` file; None where there is none.

    Raises:
        EchoError: it is there and must not be overwritten: since that was not asked for, or since other tiers depend
            on it, or it on another.
    """
    path, tiers = document.file.path, list(document.root.iter("TIER"))
    found = [tier for tier in tiers if same_name(tier.get("TIER_ID", ""), name)]
    if not found:
        return None
    if not overwrite:
        raise EchoError(f"{path} has a tier {name!r} already; choose another --tier, or give --overwrite")
    below = [tier.get("TIER_ID", "") for tier in tiers if tier.get("PARENT_REF") == found[0].get("TIER_ID")]
    if below:
        raise EchoError(f"{path}: tiers depend on {name!r}, which are {', '.join(below)}; choose another --tier")
    if found[0].get("PARENT_REF"):
        what = f"tier {name!r} depends on {found[0].get('PARENT_REF')!r} and has no times of its own"
        raise EchoError(f"{path}: {what}; choose another --tier")
    return found[0]


def _required(document: Document, tag: str) -> Element:
    element = document.root.find(tag)
    if element is None:
        raise EchoError(f"{document.file.path} has no {tag}; save it again in ELAN")
    return element


def _last_number(pattern: str, names: Iterable[str]) -> int:
    """The highest number in names of a form; 0 if there is none."""
    return max((int(found[1]) for name in names if (found := re.fullmatch(pattern, name))), default=0)


def _annotation_ids(root: Element) -> Iterable[str]:
    return (element.get("ANNOTATION_ID", "") for element in root.iter() if "ANNOTATION_ID" in element.attrib)


def _own_type(root: Element) -> tuple[str, bool]:
    """The id of a linguistic type for phrases, and whether it must be added: one with times, without constraints and
    vocabulary."""
    types = {kind.get("LINGUISTIC_TYPE_ID", ""): kind for kind in root.iter("LINGUISTIC_TYPE")}
    name, number = PHRASE, 1
    while name in types:
        bound = types[name].get("CONSTRAINTS") or types[name].get("CONTROLLED_VOCABULARY_REF")
        if types[name].get("TIME_ALIGNABLE") == "true" and not bound:
            return name, False
        number += 1
        name = f"{PHRASE}-{number}"
    return name, True


def _insert_slots(document: Document, order_element: Element, new: Sequence[tuple[str, int]]) -> list[Change]:
    """Changes that put new time slots in front of the first one with a later time."""
    there = [slot for slot in order_element if re.fullmatch(r"-?\d{1,12}", slot.get("TIME_VALUE", ""))]
    latest = list(accumulate((int(slot.get("TIME_VALUE", "")) for slot in there), max))
    changes = []
    at_end = ""
    for name, time in new:
        place = bisect_right(latest, time)
        if place < len(there):
            before = document.place(there[place]).start
            changes.append(Change(before, before, f"{slot_element(name, time)}\n        "))
        else:
            at_end += f"    {slot_element(name, time)}\n    "
    return [*changes, document.appended(order_element, at_end)] if at_end else changes


def _removed_slots(document: Document, tier: Element) -> list[Change]:
    """Changes that take out the time slots that only the annotations of a tier have."""
    own = {id(element) for element in tier.iter()}
    names = ("TIME_SLOT_REF1", "TIME_SLOT_REF2")
    others = {element.get(name) for element in document.root.iter() if id(element) not in own for name in names}
    unused = {element.get(name) for element in tier.iter() for name in names} - others
    places = [document.place(s) for s in document.root.iter("TIME_SLOT") if s.get("TIME_SLOT_ID") in unused]
    return [Change(place.start, document.file.after_blanks(place.end), "") for place in places]
