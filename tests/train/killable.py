"""Runs splatkit's commands in processes that may be killed, and starts them without delay.

Run as a program: it loads everything once, then forks a process for every line of JSON that it
reads, ``[work, argument, ...]``, and answers with its number and later with how it ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

CHECKPOINT_SECONDS = 0.05
"""Killed runs write checkpoints so often that kills hit the writing, too."""


class Nursery:
    """Starts processes of ``killable.py`` and kills them."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def run(self, *words: object, seconds: float | None = None) -> bool:
        """Whether the work came to its end, or else was killed after so many seconds."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        self._program.stdin.flush()
        process = int(self._program.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            with suppress(ProcessLookupError):  # it may have come to its end
                os.kill(process, signal.SIGKILL)
        code = int(self._program.stdout.readline())
        assert code in (0, -signal.SIGKILL), f"ended with {code}"
        return code == 0

    def close(self) -> None:
        """End the program that starts the others."""
        self._program.communicate("")


def moment(chance: random.Random, took: float) -> float:
    """Seconds after which to kill work that takes so long: beginnings and ends are hit alike."""
    return took * chance.random() ** 2


def _work(words: list[str]) -> None:
    from splatkit.cli import main
    from splatkit.core import drain
    from splatkit.train import pipeline, trainer
    from tests.train.test_trainer import FAST

    kind, *rest = words
    if kind == "train":
        from dataclasses import replace

        trainer.SECONDS_BETWEEN_CHECKPOINTS = CHECKPOINT_SECONDS
        source, run, steps = rest
        config = replace(FAST, iterations=int(steps), max_gaussians=200, resume=True)
        drain(pipeline.run(Path(source), Path(run), config))
    else:
        assert main([kind, *rest]) == 0


def _serve() -> None:
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    import tests.train.test_trainer  # noqa: F401
    from splatkit.render import get_backend

    get_backend("cpu")
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(2, 1)
            try:
                _work(json.loads(line))
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
