from tests.fakes.conftest import line_zinit, new_zinit, zinit

__all__ = ["line_zinit", "new_zinit", "zinit"]
