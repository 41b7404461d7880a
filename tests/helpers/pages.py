"""The pages of the repository: their code, and the commands in it. Options that shorten a training of the tutorial."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

# A narrow model for the words of the tone corpus, and few updates, in place of a recipe's half an hour.
SHORT = shlex.split(
    "--features.tracker autocorrelation --features.mels 24 --model.width 32 --model.heads 2 --model.feedforward 48 "
    "--model.spectrogram_layers 1 --model.decoder_layers 0 --model.dropout 0.05 --train.max_steps 250 "
    "--train.batch_seconds 10 --train.learning_rate 0.01 --train.warmup_steps 20 --train.speeds [1.0] "
    "--train.validate_every 125 --train.checkpoint_every 125"
)


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def blocks(page: Path, *languages: str) -> list[str]:
    """The code of a page in any of some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [code for language, code in found if language in languages]


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `echo-asr` of every whole command in the code of a page."""
    for code in blocks(page, "", "console"):
        for line in re.sub(r"\\\n\s*", " ", code).splitlines():
            start = re.search(
                r"(?:^|\| |^\w+=\S+ )(?:torchrun .* -m echo_asr|\.venv/bin/echo-asr|echo-asr) (.*)", line.strip()
            )
            if start and "..." not in line:
                words = shlex.split(start[1], comments=True)
                yield words[: words.index(">")] if ">" in words else words
