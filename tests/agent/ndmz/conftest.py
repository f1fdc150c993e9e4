"""Lab tests of this package run in worlds of their own, as those of netns do."""

from tests.netns.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
