"""Forms with a recording, as requests send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from echo_asr.serve.errors import RequestError

MOST_FIELDS = 2000
FIELD_BYTES = 2**20  # of a field, at most
LISTS = ("timestamp_granularities[]", "include[]", "keywords[]", "languages[]")


def read_form(request: Any, field_bytes: int = FIELD_BYTES) -> Any:
    """The form of a request, an asynchronous context.

    Raises:
        RequestError: it has none.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RequestError(400, "expected the fields as multipart/form-data", code="invalid_content_type")
    return request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=field_bytes)


def sent_file(form: Any) -> Any:
    """The recording in a form.

    Raises:
        RequestError: there is none.
    """
    file = form.get("file")
    if file is None or isinstance(file, str):
        raise RequestError(400, "file: send a recording", param="file", code="missing_required_parameter")
    return file


def described_form(fields: Mapping[str, str], required: Sequence[str]) -> dict[str, Any]:
    """The fields of a form as OpenAPI describes them.

    Args:
        fields: names, and what they mean.
    """
    properties: dict[str, Any] = {}
    for name, text in fields.items():
        kind: dict[str, Any] = {"type": "string", "description": text}
        if name == "file":
            kind["format"] = "binary"
        properties[name] = (
            {"type": "array", "items": {"type": "string"}, "description": text} if name in LISTS else kind
        )
    schema = {"type": "object", "required": list(required), "properties": properties}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
