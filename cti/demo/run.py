"""`kikitori demo`."""


def demonstrate(*, keep: bool) -> int:
    """Run the demonstration; 0 where every claim held."""
    raise NotImplementedError(keep)
