"""Errors of the policies package: the class docstring says what went wrong, the message where and how to mend it."""


class PolicyError(Exception):
    """A policy file cannot be used."""

    code = "policy"

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        """`where` is `file:line: field`."""
        super().__init__(f"{where}: {problem}. {remedy}")
        self.where, self.problem, self.remedy = where, problem, remedy
