"""The command `echo-asr`: one thin function a command. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from echo_asr import __version__
from echo_asr.distributed.launch import barrier, find_rank, first_message
from echo_asr.errors import EchoError
from echo_asr.libraries import settle_libraries
from echo_asr.output import use_utf8_names, use_utf8_streams
from echo_asr.research.diagnose.command import add_diagnose, add_plot, diagnose, plot

FORMATS = ("txt", "json", "srt", "vtt", "tsv")  # of echo_asr.decode.formats, which is imported when it is needed
CORPUS = "folder, file, synth:NAME or hf:REPO:CONFIG; docs/corpora.md has the forms"
SHARED = ("prepare", "train", "transcribe")  # commands whose work several processes share
COMMANDS_ELSEWHERE = (diagnose, plot)  # found by their names, as those below
INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="echo-asr",
        description="Echo, a pitch-aware speech recogniser: train it on your own recordings, measure it, use it.",
        epilog="echo-asr COMMAND --help tells more of a command.",
    )
    parser.add_argument("--version", action="version", version=f"echo-asr {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(parser=added)
        return added

    add = command("demo", "render a small tone vocabulary, train on it, measure and transcribe: the whole of Echo")
    add.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the run (default runs/demo)")
    add.epilog = "Options of the configuration can follow, e.g. --train.max_steps 100."

    add = command("prepare", "check a corpus, and extract the features that training will read")
    add.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    add.add_argument("--config", type=Path, metavar="CONFIG", help="the configuration that will be trained with")
    _add_broken(add)

    add = command("train", "train a recogniser")
    add.add_argument("config", type=Path, metavar="CONFIG", help="YAML file; examples are in configs/")
    add.add_argument("--corpus", required=True, help=CORPUS)
    add.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run, which is a model")
    add.add_argument("--resume", action="store_true", help="go on from the checkpoint in RUN")
    add.add_argument("--init", type=Path, metavar="MODEL", help="start from this model; new symbols are added")
    _add_broken(add)
    add.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    add.epilog = "Any option of the configuration can follow as --section.key value, e.g. --train.max_steps 500."

    add = command("evaluate", "measure the free-running error of a model on a corpus")
    add.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    add.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    add.add_argument("--split", default="test", help="split to measure on (default test)")
    add.add_argument("--json", action="store_true", help="print one JSON object")
    add.add_argument("--texts", type=Path, metavar="FILE", help="also write reference and hypothesis of each utterance")
    _add_broken(add)
    add.add_argument("--device", default="auto", help="auto, cpu, cuda, mps, ...")
    add.epilog = "Decoding options can follow, e.g. --decode.beam 8."

    add = command("study", "train arms that differ in what a question is about, on several seeds, and compare them")
    add.add_argument("study", type=Path, metavar="STUDY.yaml", help="what is asked; examples are in studies/")
    add.add_argument("--out", type=Path, metavar="DIR", help="folder of the study (default runs/studies/NAME)")
    add.add_argument("--jobs", type=int, metavar="N", help="trainings at once (default: as many as cores or GPUs)")
    add.add_argument("--corpus", metavar="SPEC", help="in place of the corpus that the file names")
    add.add_argument("--device", default="auto", help="auto (all GPUs of CUDA, else cpu), cpu, cuda, cuda:1, mps, ...")
    add.add_argument("--keep-checkpoints", action="store_true", help="leave the checkpoints of finished jobs")
    add.add_argument(
        "--trained", type=Path, action="append", metavar="DIR",
        help="take the trainings of another study, where they are the same; may be given again",
    )  # fmt: skip
    add.epilog = "Interrupted at any moment, the same command goes on where it was."

    add = command("transcribe", "write down what is said in audio files")
    add.add_argument("audio", nargs="*", type=Path, metavar="AUDIO", help="wav, flac, ogg, opus, mp3, ...")
    add.add_argument("--files", metavar="LIST", help="a list of more of them, a path a line; - for standard input")
    add.add_argument("--model", type=Path, required=True, metavar="MODEL", help="folder of a model")
    add.add_argument("--format", choices=FORMATS, default="txt", help="json: one object a line; default txt")
    add.add_argument("--output-dir", type=Path, metavar="D", help="write a file for each recording there")
    add.add_argument("--skip-existing", action="store_true", help="leave out what is in the folder already")
    add.add_argument("--device", default="auto", help="auto, cpu, cuda, mps, ...")
    add.add_argument("--hotwords", type=Path, metavar="FILE", help="words and phrases to listen for, one a line")
    add.epilog = "Decoding options can follow, e.g. --decode.beam 8 --decode.lm my.arpa."

    add = command("lm", "make a language model of your own texts, to transcribe with --decode.lm")
    add.add_argument("texts", nargs="+", type=Path, metavar="TEXT", help="text files, a sentence a line, UTF-8")
    add.add_argument("--model", type=Path, required=True, metavar="MODEL", help="folder of the model it is for")
    add.add_argument("--out", type=Path, required=True, metavar="FILE", help="ARPA file to write")
    add.add_argument("--order", type=int, default=6, help="symbols of the longest n-grams, 2 to 6 (default 6)")

    _add_corpus_commands(command("corpus", "look into a corpus: check it, split it, count what it holds"))

    add_diagnose(command)
    add_plot(command)
    command("doctor", "say what is installed and what works on this machine")
    return parser


def _add_broken(parser: argparse.ArgumentParser) -> None:
    told = "records that cannot be used: refuse the corpus (default), or skip and count them"
    parser.add_argument("--broken", choices=("refuse", "skip"), default="refuse", help=told)


def _add_corpus_commands(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(parser=added)
        added.add_argument("corpus", metavar="CORPUS", help=CORPUS)
        return added

    add = action("check", "find what will hurt; the status is 1 if something breaks training")
    add.add_argument("--no-audio", action="store_true", help="look at texts, times and splits alone, which is quick")
    add.add_argument("--config", type=Path, metavar="CONFIG", help="the configuration that will be trained with")
    add.add_argument("--most", type=int, default=20, metavar="N", help="lines of each kind, 0 for all (default 20)")
    add.add_argument("--json", action="store_true", help="print one JSON object, with all that was found")

    add = action("split", "make training, validation and test splits that share no speaker, or no text")
    by = ("speaker", "text", "utterance")
    add.add_argument("--by", choices=by, default="speaker", help="what no two splits share (default speaker)")
    add.add_argument("--validation", type=float, default=0.1, metavar="SHARE", help="of the duration (default 0.1)")
    add.add_argument("--test", type=float, default=0.1, metavar="SHARE", help="of the duration (default 0.1)")
    add.add_argument("--seed", type=int, default=0, help="another gives other splits (default 0)")
    add.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for a metadata.csv; audio stays put")
    _add_broken(add)

    add = action("stats", "count hours, utterances, speakers and symbols, and measure how high voices are")
    add.add_argument("--clips", type=int, default=200, metavar="N", help="to measure F0 in, 0 for none (default 200)")
    add.add_argument("--seed", type=int, default=0, help="of the choice of clips (default 0)")
    add.add_argument("--json", action="store_true", help="print one JSON object")
    _add_broken(add)


def _split_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without its `--section.key value` words, which may stand anywhere in it, and those."""
    own, overrides = [], []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if re.match(r"--\w+\.", word):
            overrides.append(word)
            if "=" not in word and waiting and not waiting[0].startswith("--"):
                overrides.append(waiting.pop(0))
        else:
            own.append(word)
    return own, overrides


def _refuse(parser: argparse.ArgumentParser, words: Sequence[str]) -> NoReturn:
    """Say which of the words a command does not know, and the option of it that comes nearest."""
    word = next((w for w in words if w.startswith("-")), words[0])
    known = re.findall(r"--[\w-]+", parser.format_usage())
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5) if word.startswith("-") else []
    parser.error(f"unknown argument {word!r}" + (f"; did you mean {close[0]}?" if close else ""))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What the user can mend ends in one line on standard error."""
    if argv is None:
        use_utf8_names()
    use_utf8_streams()
    settle_libraries()
    own, overrides = _split_overrides(sys.argv[1:] if argv is None else argv)
    arguments, rest = _parser().parse_known_args(own)
    if arguments.command in ("prepare", "study", "lm", "plot", "doctor", "corpus"):
        rest += overrides
    if rest:
        _refuse(arguments.parser, rest)
    arguments.overrides = overrides
    name = " ".join(word for word in (arguments.command, getattr(arguments, "action", "")) if word)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # for people, without a line of code
    try:
        if find_rank().count > 1 and arguments.command not in SHARED:
            raise EchoError(f"one process does this; start it without torchrun, which is for {', '.join(SHARED)}")
        status = int(globals()[arguments.command](arguments))
        sys.stdout.flush()
        return status
    except EchoError as error:
        return _tell(name, str(error))
    except KeyboardInterrupt as error:  # with a message where something was saved
        return _tell(name, str(error) or "interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:  # of the machine, not of Echo: a full disk, a folder that went away
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        return _tell(name, f"{where}{error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        return _tell(name, "out of memory; take a smaller train.batch_seconds or a smaller model")


def _tell(command: str, message: str, status: int = 1) -> int:
    """Print a line; of several processes that would print the same one does. Returns the exit status."""
    try:
        said = not first_message(message, find_rank())
    except EchoError:
        said = False
    if not said:
        print(f"echo-asr {command}: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return status


def _drop_output() -> None:
    """If standard output takes no more, let nobody try again, as Python does when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def demo(arguments: argparse.Namespace) -> int:
    from echo_asr.commands.demo import run_demo

    run_demo(arguments.out, arguments.overrides)
    return 0


def prepare(arguments: argparse.Namespace) -> int:
    from echo_asr.train.prepare import prepare_corpus

    lines = prepare_corpus(arguments.corpus, arguments.config, arguments.broken)
    for line in lines if find_rank().main else ():
        print(line)
    return 0


def train(arguments: argparse.Namespace) -> int:
    from echo_asr.train.run import train

    progress = train(
        arguments.config, arguments.corpus, arguments.out, arguments.overrides,
        arguments.resume, arguments.init, arguments.device, arguments.broken,
    )  # fmt: skip
    if find_rank().main:
        print(f"{arguments.out}: trained for {progress.step} updates, best at {progress.best_step}")
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    from echo_asr.console import progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.unreadable import leave_out_unreadable
    from echo_asr.evaluate.evaluate import evaluate, summary, write_texts

    utterances = load_corpus(arguments.corpus, arguments.broken).split(arguments.split)
    if arguments.broken == "skip":
        utterances = leave_out_unreadable(arguments.corpus, utterances)
    recognizer = _load(arguments)
    with progress_bar("evaluating", len(utterances)) as advance:
        found = evaluate(recognizer, arguments.corpus, arguments.split, utterances, progress=lambda n: advance(n, ""))
    print(json.dumps(found.to_dict(), ensure_ascii=False) if arguments.json else summary(found))
    if arguments.texts:
        write_texts(arguments.texts, utterances, found)
    return 0


def study(arguments: argparse.Namespace) -> int:
    from echo_asr.research.study.run import run_study, summary

    outcome = run_study(
        arguments.study, arguments.out, arguments.jobs, arguments.device, arguments.corpus,
        arguments.keep_checkpoints, arguments.trained or [],
    )  # fmt: skip
    print(summary(outcome))
    return 0 if outcome.complete else 1


def transcribe(arguments: argparse.Namespace) -> int:
    from echo_asr.decode.files import read_list, transcribe_files
    from echo_asr.decode.ngram import read_lines

    place = find_rank()
    paths = list(arguments.audio)
    if arguments.files == "-" and place.count > 1:
        raise EchoError("--files -: several processes have no standard input; put the list in a file")
    if arguments.files:
        paths += read_list(arguments.files)
    if not paths:
        arguments.parser.error("no files; name some, or a list of them with --files")
    if arguments.hotwords:
        words = json.dumps(list(read_lines([arguments.hotwords])), ensure_ascii=False)
        arguments.overrides.append(f"--decode.hotwords={words}")
    recognizer = _load(arguments)
    how = (arguments.format, arguments.output_dir, arguments.skip_existing, place)
    status = transcribe_files(recognizer, paths, *how)
    barrier(place)  # the launcher would end the others if this process ended with an error first
    return status


def lm(arguments: argparse.Namespace) -> int:
    from echo_asr.decode.ngram import build_language_model, read_lines
    from echo_asr.model.checkpoint import load_bundle

    bundle = load_bundle(arguments.model)
    made = build_language_model(
        read_lines(arguments.texts), bundle.tokenizer, bundle.text.normalize, arguments.order, arguments.out
    )
    print(f"{arguments.out}: {made.sentences} texts, {made.tokens} symbols, n-grams {' '.join(map(str, made.grams))}")
    if made.skipped:
        left_out = ", ".join(f"{character!r} {count} times" for character, count in list(made.skipped.items())[:8])
        print(f"left out, since the model cannot write it: {left_out}")
    return 0


def corpus(arguments: argparse.Namespace) -> int:
    from echo_asr.data.tell import tell_check, tell_split, tell_stats

    if arguments.action == "check":
        from echo_asr.train.run import read_config

        normalize = read_config(arguments.config)["text"].normalize
        return tell_check(arguments.corpus, not arguments.no_audio, arguments.most, arguments.json, normalize)
    if arguments.action == "split":
        shares = arguments.validation, arguments.test
        return tell_split(arguments.corpus, arguments.out, arguments.by, shares, arguments.seed, arguments.broken)
    return tell_stats(arguments.corpus, arguments.clips, arguments.seed, arguments.broken, arguments.json)


def doctor(arguments: argparse.Namespace) -> int:
    from echo_asr.commands.doctor import examine

    sound = True
    for name, well, text in examine():
        print(f"{'ok  ' if well else 'FAIL'}  {name}: {text}")
        sound = sound and well
    return 0 if sound else 1


def _load(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    from echo_asr.decode.transcribe import Recognizer, choose_device, decode_config
    from echo_asr.model.checkpoint import load_bundle

    bundle = load_bundle(arguments.model, choose_device(arguments.device))
    return Recognizer(bundle, decode_config(bundle, arguments.model, arguments.overrides))
