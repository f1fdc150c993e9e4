"""`zosnet-controller` that takes its time between listening and hearing signals."""

import sys
import time

from controller.__main__ import main
from controller.server import Server

LATE = 0.5  # seconds


class LateServer(Server):
    def stop_at_signals(self) -> None:
        time.sleep(LATE)
        super().stop_at_signals()


if __name__ == "__main__":
    from controller.cli import serve

    serve.Server = LateServer  # type: ignore[attr-defined]
    sys.exit(main())
