"""What every command may say: that it cannot do what was asked, for a reason that the user can mend."""


class UsageError(Exception):
    """What was asked for cannot be done, for a reason that the user can mend."""
