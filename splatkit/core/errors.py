"""The one exception type that user-facing code raises."""


class SplatkitError(Exception):
    """Something the user gave or asked for cannot be used.

    The message names the thing, says what was expected, what came, and what to do.
    The command line prints it as one line and exits with ``exit_code``.
    """

    exit_code: int = 1


class UsageError(SplatkitError):
    """The command or call itself is wrong (an unknown option value, a missing path)."""

    exit_code = 2
