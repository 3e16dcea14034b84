"""Parsing with tyro, and its complaints on one line."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import sys
from typing import TypeVar

import tyro

from splatkit.core.errors import UsageError

T = TypeVar("T")
_CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)


def parse(command: type[T], words: list[str], program: str) -> T:
    """The command's options out of the words behind its name.

    Raises:
        UsageError: a word is not understood; the message is one line.
        SystemExit: with code 0, after printing the help that was asked for.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(command, prog=program, args=words, config=_CONFIG)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
    _refuse_unknown_options(command, words, program)
    sentence = _sentence(complaint.getvalue())
    raise UsageError(f"{sentence}; see: {program} --help")


def _refuse_unknown_options(command: type, words: list[str], program: str) -> None:
    """Name an unknown option first: what it swallows makes every other complaint misleading."""
    page = io.StringIO()
    with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
        tyro.cli(command, prog=program, args=["--help"], config=_CONFIG)
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", page.getvalue()))
    for word in words:
        if word == "--":
            return
        name = word.split("=")[0].replace("_", "-")
        is_option = re.match(r"--[a-z]|-[a-z]$", name, re.IGNORECASE)
        if is_option and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"see: {program} --help"
            raise UsageError(f"unknown option {name}; {hint}")


def _sentence(box: str) -> str:
    """The first paragraph of the framed text that tyro prints."""
    lines = [line.strip(" │") for line in box.splitlines()]
    paragraph: list[str] = []
    for line in lines:
        if line.startswith("─"):
            break
        if line and not line.startswith(("╭", "╰")):
            paragraph.append(line)
    text = " ".join(" ".join(paragraph).split()).rstrip(".")
    return text[:1].lower() + text[1:] if text else f"cannot parse {' '.join(sys.argv[1:])}"
