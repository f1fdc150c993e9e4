"""`zosnet-agent` whose wall clock is off by what the file WALL says: `agent_elsewhen.py WALL VERB…`.

WALL holds milliseconds, negative for a clock that is behind; it is read anew each time.
"""

import sys
from pathlib import Path

from agent.__main__ import main
from runtime.clock import FlooredClock, wall_ms

if __name__ == "__main__":
    off = Path(sys.argv.pop(1))
    defaults = FlooredClock.__init__.__kwdefaults__
    assert defaults is not None
    assert defaults["wall"] is wall_ms
    defaults["wall"] = lambda: wall_ms() + int(off.read_text())
    sys.exit(main())
