"""One installation for all tests of a module that asks for it, as in tests/asterisk."""

from tests.asterisk.conftest import house_with_service

__all__ = ["house_with_service"]
