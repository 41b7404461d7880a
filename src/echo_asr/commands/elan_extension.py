"""The folder that makes Echo a recogniser of ELAN: its description (CMDI), its launchers, and its help page."""

from __future__ import annotations

import re
import shlex
import site
from pathlib import Path
from xml.sax.saxutils import quoteattr

import echo_asr
from echo_asr.errors import EchoError
from echo_asr.storage import make_folder, replace_file

NAME = "echo-asr"  # of the folder, and of the files in it
TITLE = "Echo speech recogniser"  # in ELAN's list of recognisers
EXTENSIONS = "extensions"
INSIDE = ("app", "lib/app", "Contents/app", "Contents/Java", "")  # where in ELAN's own folder that one is
ANNOTATIONS = ("empty", "all")  # of the input tier, that are transcribed; the first is the default
TIER = "Echo"  # name of the new tier

DESCRIPTION = """\
<?xml version="1.0" encoding="UTF-8"?>
<CMD CMDVersion="1.1" xmlns="http://www.clarin.eu/cmd/">
  <Header/>
  <Resources><ResourceProxyList/><JournalFileProxyList/><ResourceRelationList/></Resources>
  <Components>
    <RECOGNIZER>
      <recognizer recognizerType="local" runWin="cmd /c .\\{name}.bat" runMac="./{name}.sh" runLinux="./{name}.sh"
        info="{title}">{name}</recognizer>
      <documentation>{name}.html</documentation>
      <input type="audio" level="basic" optional="false" mimetypes="audio/x-wav audio/* video/mp4 video/*"
        info="Recording">source</input>
      <input type="tier" level="basic" optional="true" mimetypes="text/xml"
        info="Tier whose annotations are transcribed, each by itself; none: the whole recording">input_tier</input>
      <textparam level="basic" convoc="{annotations}" default="{default}"
        info="Annotations of that tier that are transcribed: the empty ones, or all">annotations</textparam>
      <textparam level="basic" default={model} info="Folder of the model">model</textparam>
      <textparam level="basic" default="{tier}" info="Name of the new tier">tier_name</textparam>
      <output type="tier" level="basic" optional="false" mimetypes="text/xml"
        info="File of the new tier; empty: ELAN chooses one">output_tier</output>
    </RECOGNIZER>
  </Components>
</CMD>
"""

HELP = """\
<html><head><title>{title}</title></head><body>
<h3>{title}</h3>
<p>Transcribes the recording into a new tier, with a model that was trained by <code>echo-asr train</code>.</p>
<p>Choose a tier to have its annotations transcribed, each by itself and at its own times: the empty ones (texts that
are there stay as they are) or all. Choose no tier to have the whole recording transcribed, phrase by phrase.</p>
<p>The report shows warnings, and in one line what went wrong.</p>
</body></html>
"""

# The launcher takes the place of the shell, so that ELAN's button "Cancel" ends Echo.
SHELL = """\
#!/bin/sh
# Written by: echo-asr elan install
python={python}
if [ ! -x "$python" ]; then
    echo "$python is not there; run echo-asr elan install again"
    echo "RESULT: FAILED."
    exit 1
fi
{path}exec "$python" {words}
"""

BATCH = """\
@echo off
rem Written by: echo-asr elan install
{utf8}set "PYTHON={python}"
if exist "%PYTHON%" goto run
echo "%PYTHON%" is not there; run echo-asr elan install again
echo RESULT: FAILED.
exit /b 1
:run
{path}"%PYTHON%" {words}
"""
WORDS = "-X utf8 -P -m echo_asr elan run"
_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # in XML, or in a launcher


def find_extensions(folder: Path) -> Path:
    """The folder `extensions` of ELAN: that folder itself, or the one in a folder of ELAN's.

    Raises:
        EchoError: it is neither.
    """
    if not folder.is_dir():
        raise EchoError(f"{folder}: there is no such folder; give ELAN's folder {EXTENSIONS!r}")
    if folder.resolve().name == EXTENSIONS:
        return folder
    for inside in INSIDE:
        if (found := folder / inside / EXTENSIONS).is_dir():
            return found
    where = "ELAN_VERSION/app on Windows and Linux, ELAN_VERSION.app/Contents/app on macOS"
    raise EchoError(f"{folder}: has no folder {EXTENSIONS!r} of ELAN; give that one, which is in {where}")


def write_extension(extensions: Path, python: str, model: Path | None) -> Path:
    """Write the recogniser's folder, over an earlier one, and return it.

    Args:
        python: path of the Python that runs Echo.
        model: folder of the model that ELAN shows until its user enters another.

    Raises:
        EchoError: the folder cannot be written, or a path has characters that no XML file can have.
    """
    shown = str(model.absolute()) if model else ""
    package = Path(echo_asr.__file__).parents[1]
    installed = package in map(Path, [*site.getsitepackages(), site.getusersitepackages()])
    source = "" if installed else str(package)
    files = {
        f"{NAME}.html": HELP.format(title=TITLE),
        f"{NAME}.sh": shell_launcher(python, source),
        f"{NAME}.bat": batch_launcher(python, source),
        f"{NAME}.cmdi": description(shown),  # the last: by it ELAN finds the folder
    }
    for path in filter(None, (python, source, shown)):
        if _UNUSABLE.search(path):
            raise EchoError(f"{path!r}: ELAN cannot take a path with such characters; rename the folder")
    folder = extensions / NAME
    make_folder(folder, "start the command with the rights of an administrator, as the installation of ELAN was")
    for name, text in files.items():
        _write(folder / name, text)
    return folder


def description(model: str) -> str:
    """The CMDI file: how ELAN starts the recogniser, and the parameters for which it asks its user."""
    words = {"name": NAME, "title": TITLE, "tier": TIER, "model": quoteattr(model)}
    return DESCRIPTION.format(annotations=" ".join(ANNOTATIONS), default=ANNOTATIONS[0], **words)


def shell_launcher(python: str, source: str = "") -> str:
    """The launcher of Linux and macOS.

    Args:
        source: folder of the package, where Python would not find it otherwise.
    """
    path = f"PYTHONPATH={shlex.quote(source)}\nexport PYTHONPATH\n" if source else ""
    return SHELL.format(python=shlex.quote(python), path=path, words=WORDS)


def batch_launcher(python: str, source: str = "") -> str:
    """The launcher of Windows; `source` as of `shell_launcher`. A path there can have no quotes."""
    python, source = python.replace("%", "%%"), source.replace("%", "%%")
    path = f'set "PYTHONPATH={source}"\n' if source else ""
    utf8 = "" if (python + source).isascii() else "chcp 65001 >nul\n"
    return BATCH.format(python=python, path=path, utf8=utf8, words=WORDS).replace("\n", "\r\n")


def _write(path: Path, text: str) -> None:
    def write(part: Path) -> None:
        part.write_bytes(text.encode("utf-8"))
        part.chmod(0o755 if path.suffix == ".sh" else 0o644)

    replace_file(path, write)
