"""A large database is looked over while its controller works already: in a thread, once after a start.

    soundness = Soundness(path)     # begins at once
    soundness.problem               # what is wrong with the file, as soon as that is known
    soundness.end()                 # stops looking

A small one is looked over before anything else (`database.open_writer`). `quick_check` reads a file of
a million members in seconds, and for so long nobody would be answered.
"""

import logging
import threading
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from controller.store.database import DatabaseError, damaged, open_reader, quick_check

log = logging.getLogger(__name__)


class Soundness:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_reader(path)
        self._ended = False
        self.problem: DatabaseError | None = None
        self._thread = threading.Thread(target=self._look, name="soundness", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def end(self) -> None:
        self._ended = True
        raw = self._connection.connection.dbapi_connection
        while not self.done:
            with suppress(Exception):  # it may be through and closed by now
                if raw is not None:
                    raw.interrupt()
            self._thread.join(0.05)
        self._connection.close()
        self._connection.engine.dispose()

    def _look(self) -> None:
        try:
            quick_check(self._connection, self._path)
        except DatabaseError as error:
            self.problem = error
        except DBAPIError as error:
            if not self._ended:  # not by us
                self.problem = damaged(self._path, str(error.orig))
        else:
            log.info("database looked over", extra={"path": self._path})
