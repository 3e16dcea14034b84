"""Parsing with tyro: its help made shorter, its complaints put on one line."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
from dataclasses import replace
from typing import Any, TypeVar

import tyro

from splatkit.core.errors import UsageError

T = TypeVar("T")
_CONFIG = (tyro.conf.FlagCreatePairsOff,)
Region = tuple[float, float, float, float] | tuple[float, float, float, float, float, float]
REGION = "X Y Z RADIUS | X Y Z X Y Z"
"""What stands for a sphere or a box in help."""
_TYPES = {"INT": "N", "FLOAT": "X", "STR": "TEXT"}
_EXPERTS = "recipe"
"""Groups of options whose title begins so are shown by ``--help-all`` alone."""


def parse(command: type[T], words: list[str], program: str) -> T:
    """The command's options out of the words behind its name.

    A command with a field ``words`` is given these, too: they say what was typed, and what is a
    default.

    Raises:
        UsageError: a word is not understood; the message is one line.
        SystemExit: with code 0, after printing the help that was asked for.
    """
    if {"-h", "--help", "--help-all"} & set(words):
        print(_help(command, program, everything="--help-all" in words))
        raise SystemExit(0)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            parsed: Any = tyro.cli(command, prog=program, args=words, config=_CONFIG)
            return replace(parsed, words=tuple(words)) if hasattr(parsed, "words") else parsed
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
    _refuse_unknown_options(command, words, program)
    raise UsageError(f"{_sentence(complaint.getvalue())}; see: {program} --help")


def _help(command: type, program: str, everything: bool = False) -> str:
    page = io.StringIO()
    with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
        tyro.cli(command, prog=program, args=["--help"], config=_CONFIG)
    text = re.sub(r"\{None\}\|(\S+  )", r"\1       ", page.getvalue())
    text = text.replace("{None}|", "").replace("{None,", "{")
    text = re.sub(r"^ +-.*$", _plain_types, text, flags=re.MULTILINE)
    usage, *groups = re.split(r"\n(?=(?:[\w.]+ )?(?:options|arguments)\n)", _without_frames(text))
    groups = [re.sub(r"\s*\(default:\s*(None|False|'')?\)", "", group).rstrip() for group in groups]
    shown = [group for group in groups if everything or not group.startswith(_EXPERTS)]
    if len(shown) < len(groups):
        shown.append(f"{program} --help-all shows the options of the training recipe, too.")
    return "\n\n".join((_bracketed(usage.strip(), "".join(groups)), *shown))


def _plain_types(option: re.Match) -> str:
    """An option's line with plain names for tyro's names of types; columns stay."""

    def plain(found: re.Match) -> str:
        return _TYPES[found[1]].ljust(len(found[0]) if found[2] else 0)

    return re.sub(r"\b(INT|FLOAT|STR)\b(  )?", plain, option[0]).replace("{auto}", "auto")


def _bracketed(usage: str, groups: str) -> str:
    """The usage line with positional arguments that may be left out in brackets."""
    line, *rest = usage.split("\n", 1)
    for name, meaning in re.findall(r"^  ([A-Z]+)\b(.*(?:\n {4}.*)*)", groups, re.MULTILINE):
        if "(required)" not in meaning:
            line = re.sub(rf"(?<= ){name}(?= |$)", f"[{name}]", line)
    return "\n".join((line, *rest))


def _without_frames(text: str) -> str:
    """What tyro draws in boxes as plain lines: titles at the margin, the rest indented."""
    lines = []
    for line in (raw.strip("│").rstrip() for raw in text.splitlines()):
        title = re.match(r"(?:╭─)? ?((?:[\w.]+ )?(?:options|arguments))[ ─╮]*$", line)
        if title:
            lines.append(title[1])
        elif not re.fullmatch(r"[\s─╰╯╭╮-]*", line) or not line:
            lines.append(line)
    return "\n".join(lines)


def _refuse_unknown_options(command: type, words: list[str], program: str) -> None:
    """Name an unknown option first: what it swallows makes every other complaint misleading."""
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w.-]*", _help(command, program, everything=True)))
    for word in words:
        if word == "--":
            return
        name = word.split("=")[0].replace("_", "-")
        is_option = re.match(r"--[a-z]|-[a-z]$", name, re.IGNORECASE)
        if is_option and name not in known:
            close = difflib.get_close_matches(name, known, 1, cutoff=0.75)
            hint = f"did you mean {close[0]}?" if close else f"see: {program} --help"
            raise UsageError(f"unknown option {name}; {hint}")


def _sentence(complaint: str) -> str:
    """What tyro complains about, as: the option, what was expected, what came."""
    lines = [line.strip(" │") for line in complaint.splitlines()]
    lines = [line for line in lines if line and line[0] not in "╭╰"]
    if "╭" not in complaint:  # without a frame the title is a line, and so is the rule below it
        lines = lines[2:]
    rule = next((i for i, line in enumerate(lines) if re.fullmatch(r"[─-]{3,}", line)), None)
    lines = lines[:rule]
    text = " ".join(" ".join(lines).split()).rstrip(".")
    if text.startswith("Missing from") and len(lines) >= 3:
        meaning = " ".join(lines[2:]).split("(required)")[0].strip().rstrip(".")
        return f"expected {lines[1]} ({meaning}), got none"
    stray = re.match(r"Unrecognized options: (.*)", text)
    if stray:
        return f"unexpected {stray[1]!r}"
    missing = re.match(r"Missing value for argument '(.+?)'", text)
    if missing:
        return f"{missing[1]}: expected a value, got none"
    choice = re.match(r"invalid choice '(.*)' for argument '(.+?)'\. Expected one of (.*)", text)
    if choice:
        choices = re.findall(r"'(.+?)'", choice[3])
        if "None" in choices:  # an option that may be left out: tyro mixes the names up
            choices = sorted(set(choices) - {"None"})
        return f"{choice[2]}: expected one of {', '.join(choices)}; got {choice[1]!r}"
    value = re.match(r"Error parsing (\S+?): (.*)", text)
    if value:
        counts = [len(kinds.split()) for kinds in re.findall(r"\{((?:FLOAT ?)+)\}", value[2])]
        words = re.search(r"could be instantiated from \[(.*?)\]", value[2])
        if len(counts) > 1 and words and words[1]:
            wanted = " or ".join(map(str, counts))
            return f"{value[1]}: expected {wanted} numbers, got {words[1]}"
        wanted = "a whole number" if re.search(r"INT|int\(\)", value[2]) else "another value"
        wanted = "a number" if re.search(r"FLOAT|to float", value[2]) else wanted
        came = re.findall(r"'([^']*)'", value[2])
        if came[-1:] == ["NoneType"]:
            return f"{value[1]}: expected a value, got none"
        return f"{value[1]}: expected {wanted}, got {came[-1] if came else 'none'!r}"
    return text[:1].lower() + text[1:] or "these words cannot be understood"
