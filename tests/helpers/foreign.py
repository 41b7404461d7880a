"""Other people's machines, as far as one of ours can be one: a process in which Echo finds none of the names that
Windows lacks, whose streams are of another code page, and which has a home, a folder for temporary files, and a
resolver of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import echo_asr

PACKAGE_ROOT = Path(echo_asr.__file__).parents[1]
PATIENCE = 600.0  # seconds; a machine may be busy

# Python runs this when it starts, in every process. Names are missing for Echo alone: libraries know where they are.
# `os.kill` is on Windows too, and ends a process whatever the signal.
WITHOUT_POSIX = r"""
import builtins, os, re, signal, sys, types

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {
    "os": "chown chroot confstr ctermid fchmod fchown fork forkpty fstatvfs getegid geteuid getgid getgroups "
    "getloadavg getpgid getpgrp getpriority getresuid getsid getuid initgroups killpg lchown mkfifo mknod nice "
    "openpty pathconf posix_fadvise posix_spawn pread pwrite readv sched_getaffinity sched_setaffinity sched_yield "
    "sendfile setgid setpgid setpriority setsid setuid statvfs sync sysconf tcgetpgrp uname wait wait3 wait4 "
    "waitid writev WNOHANG O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_SYNC kill",
    "signal": "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGTSTP SIGTTIN "
    "SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm getitimer pause "
    "pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo",
}


def of_echo(frame):
    return re.search(r"[\\/]echo_asr[\\/]", frame.f_code.co_filename) is not None


def without(names):
    class Module(types.ModuleType):
        def __getattribute__(self, name):
            if name in names and of_echo(sys._getframe(1)):
                raise AttributeError(f"Windows has no {name}")
            return super().__getattribute__(name)

    return Module


for module, names in NAMES.items():
    sys.modules[module].__class__ = without(frozenset(names.split()))
imported = builtins.__import__


def import_(name, *others, **more):
    if name in MODULES and of_echo(sys._getframe(1)):
        raise ModuleNotFoundError(f"Windows has no module {name}", name=name)
    return imported(name, *others, **more)


builtins.__import__ = import_
"""

# Runs commands one after another, and notes of each its status and the bytes that it wrote.
RUN_ALL = r"""
import json, os, sys, traceback

from echo_asr.cli import main

commands, told = sys.argv[1:]
found = []
for words in json.load(open(commands, encoding="utf-8")):
    kept, written = [os.dup(1), os.dup(2)], [told + ".out", told + ".err"]
    for number, path in enumerate(written, 1):
        with open(path, "wb") as file:
            os.dup2(file.fileno(), number)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=os.environ["PYTHONIOENCODING"], errors="strict")
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = "traceback"
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for number, one in enumerate(kept, 1):
        os.dup2(one, number)
        os.close(one)
    found.append([status, *(open(path, "rb").read().decode("utf-8") for path in written)])
json.dump(found, open(told, "w", encoding="utf-8"))
"""

# A resolver that finds nothing, and notes what it was asked for.
RESOLVER = r"""
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *name) {
    int file = open(getenv("LOOKUPS"), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file >= 0 && write(file, name, strlen(name)) >= 0 && write(file, "\n", 1) >= 0) close(file);
}
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r) {
    if (n) note(n);
    return EAI_NONAME;
}
struct hostent *gethostbyname(const char *n) { note(n); return 0; }
int gethostbyname_r(const char *n, struct hostent *e, char *b, size_t l, struct hostent **r, int *why) {
    note(n); *r = 0; return ENOENT_FOUND;
}
""".replace("ENOENT_FOUND", "2")


@dataclass(frozen=True)
class Ran:
    """What came of a command: its status, `traceback` for one, and what it wrote."""

    words: list[str]
    status: int | str
    output: str
    errors: str


@dataclass
class Machine:
    """A machine of its own in a folder.

    Attributes:
        home, temporary, cache, work: its folders; commands start in `work`.
        lookups: names that were looked up, a line each; None where there is no compiler for a resolver.
    """

    folder: Path
    encoding: str
    lookups: Path | None = None

    def __post_init__(self) -> None:
        self.home, self.temporary, self.cache, self.work = (self.folder / n for n in ("home", "tmp", "cache", "work"))
        for folder in (self.home, self.temporary, self.work, self.folder / "site"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "site" / "sitecustomize.py").write_text(WITHOUT_POSIX, encoding="utf-8")
        compiler = shutil.which("gcc")
        if compiler and sys.platform == "linux":
            source = self.folder / "resolver.c"
            source.write_text(RESOLVER, encoding="utf-8")
            command = [compiler, "-shared", "-fPIC", "-o", str(self.folder / "resolver.so"), str(source)]
            subprocess.run(command, check=True, capture_output=True)
            self.lookups = self.folder / "lookups"
            self.lookups.write_text("", encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        given = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")}
        resolver = (
            {}
            if self.lookups is None
            else {"LOOKUPS": str(self.lookups), "LD_PRELOAD": str(self.folder / "resolver.so")}
        )
        return {
            **given,
            **resolver,
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "TMPDIR": str(self.temporary),
            "ECHO_ASR_CACHE": str(self.cache),
            "PYTHONPATH": os.pathsep.join((str(self.folder / "site"), str(PACKAGE_ROOT))),
            "PYTHONIOENCODING": self.encoding,
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, commands: Sequence[Sequence[str]]) -> list[Ran]:
        """Commands, one after another in one process; for a start takes seconds."""
        listed, told = self.folder / "commands.json", self.folder / "told.json"
        listed.write_text(json.dumps([list(words) for words in commands]), encoding="utf-8")
        process = subprocess.run(
            [sys.executable, "-c", RUN_ALL, str(listed), str(told)],
            cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
            errors="replace", timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        found = json.loads(told.read_text(encoding="utf-8"))
        return [Ran(list(words), *one) for words, one in zip(commands, found, strict=True)]
