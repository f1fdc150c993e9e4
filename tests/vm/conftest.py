"""The image is built once for a run; each scenario has a world of its own."""

import pytest

from tests.lab.conftest import pytest_runtest_makereport, world
from tests.vm.image import Image, build_image

__all__ = ["pytest_runtest_makereport", "world"]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_image(tmp_path_factory.mktemp("image"))
