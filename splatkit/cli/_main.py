"""Finds the command, runs it, and turns whatever stops it into one line and an exit code.

A command is a module with a dataclass ``Command`` (its options, parsed by tyro) that has a
method ``run``. Only the chosen module is imported: ``splatkit --help`` answers without torch.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

COMMANDS = {
    "train": "Turn a folder of photos into a scene.",
    "view": "Look at a scene in the browser.",
    "render": "Make videos or pictures of a scene.",
    "eval": "Measure a trained scene on its held-out photos.",
    "report": "Write the page of a run, or of two side by side.",
    "ingest": "Only find the cameras of a folder of photos.",
    "edit": "Crop, clean, thin, turn and scale a scene into a new one.",
    "export": "Write a scene in another format.",
    "mesh": "Turn a trained scene into triangles for game engines.",
    "info": "Say what is in a scene file.",
    "enhance train": "Fit the upscaling network to a scene.",
    "enhance onnx": "Write the upscaling network for other programs.",
    "bench train": "Train and measure every scene of a data set.",
    "bench render": "Time the rasterizers.",
    "bench enhance": "Compare upscaled pictures with plain renders.",
    "doctor": "Check this machine and this installation.",
}
"""What each does, by its one or two words; its module's name has the same words."""
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the words behind ``splatkit``; those of this process when None.

    Returns:
        The exit code: 0 done, 1 failure, 2 bad use, 130 stopped with Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = bool(os.environ.get("SPLATKIT_DEBUG"))
    if "--debug" in words:
        words.remove("--debug")
        debug = True
    try:
        with _warnings_as_lines():
            return _dispatch(words)
    except KeyboardInterrupt as stop:
        if debug:
            raise
        print(f"\n{stop or 'stopped'}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left; a second failing flush at exit would only add noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except Exception as error:
        if debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return getattr(error, "exit_code", EXIT_FAILURE)


def _dispatch(words: list[str]) -> int:
    if not words:
        print(_short_help(), file=sys.stderr, flush=True)
        words = ["view"]
    name, rest = words[0], words[1:]
    if name in ("-h", "--help", "help"):
        print(_full_help())
        return 0
    if name == "--version":
        from splatkit import __version__

        print(f"splatkit {__version__}")
        return 0
    group = [command for command in COMMANDS if command.startswith(f"{name} ")]
    if group:
        if not rest or rest[0] in ("-h", "--help"):
            print(_list_of(group, f"splatkit {name} COMMAND [OPTIONS]"))
            return 0 if rest else EXIT_USAGE
        name, rest = f"{name} {rest[0]}", rest[1:]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {close[0]}?" if close else "see: splatkit --help"
        expected = ", ".join(group or COMMANDS)
        print(f"error: expected one of {expected}; got {name!r}; {hint}", file=sys.stderr)
        return EXIT_USAGE

    from splatkit.cli._options import parse

    module = importlib.import_module(f"splatkit.cli.{name.replace(' ', '_')}")
    command = parse(module.Command, rest, f"splatkit {name}")
    return command.run() or 0


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Python's warnings as one line each, without the place in the code."""
    before = warnings.showwarning
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        yield
    finally:
        warnings.showwarning = before


def _one_line(error: Exception) -> str:
    """The message of an error on one line; an unforeseen one says how to see more."""
    from splatkit.core.errors import SplatkitError

    text = " ".join(str(error).split())
    if isinstance(error, SplatkitError):
        return text
    if isinstance(error, (FileExistsError, NotADirectoryError)) and error.filename:
        return (
            f"{error.filename}: expected a folder there, or nothing yet, got a file; name another"
        )
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else text
    name = type(error).__name__
    return f"{name}: {text} (unexpected; add --debug to see where, and please report it)"


def _short_help() -> str:
    return "\n".join(
        (
            "splatkit turns photos into a scene that you can fly through.",
            "",
            "  splatkit train PHOTOS           photos in, scene out (runs/NAME)",
            "  splatkit view runs/NAME         look at it in the browser",
            "  splatkit render runs/NAME       videos of it",
            "",
            "splatkit --help lists every command. Here is the start page:",
        )
    )


def _full_help() -> str:
    options = (
        "",
        "options:",
        "  --help         this text; behind a command, its options",
        "  --version      the installed version",
        "  --debug        show where an error came from",
    )
    return "\n".join((_list_of(list(COMMANDS), "splatkit COMMAND [OPTIONS]"), *options))


def _list_of(commands: list[str], usage: str) -> str:
    lines = (f"  {name:<13}  {COMMANDS[name]}" for name in commands)
    return "\n".join((f"usage: {usage}", "", "commands:", *lines))
