"""The error of every command."""


class UsageError(Exception):
    """The command cannot run as asked, for a reason that the user can mend; its message fits in one line."""
