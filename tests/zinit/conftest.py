from tests.fakes.conftest import new_zinit, zinit

__all__ = ["new_zinit", "zinit"]
