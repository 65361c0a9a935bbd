"""Errors of the retention package, which whoever only reports them loads without the rest."""


class HoldError(Exception):
    """That cannot be done with this hold."""

    code = "hold"
    status = 65
