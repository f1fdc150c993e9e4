"""The network resources that people made here, in STATE/resources.json: they come back after a reboot.

A file that is damaged is left as it is, and so is what stands in the kernel: nothing is made, changed
or taken away until somebody mends it.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from agent.nr.local import Local
from runtime import files, paths
from runtime.failure import CannotError, Exit

PATH = paths.STATE / "resources.json"


class _File(msgspec.Struct):
    resources: list[Local] = []


class Book:
    def __init__(self) -> None:
        self.damage: CannotError | None = None
        self._resources: dict[str, Local] = {}
        try:
            kept = files.load(PATH, _File) or _File()
        except files.DamagedFileError as error:
            hint = f"mend it, or remove it and make them again; then restart networkd: {PATH}"
            self.damage = CannotError(error.message, hint=hint)
        else:
            self._resources = {local.name: local for local in kept.resources}

    def __iter__(self) -> Iterator[Local]:
        return iter(tuple(self._resources.values()))

    def __len__(self) -> int:
        return len(self._resources)

    def get(self, name: str) -> Local | None:
        return self._resources.get(name)

    def find(self, name: str, what: str) -> Local:
        """Raises CannotError that knows what is meant."""
        if self.damage is not None:
            raise self.damage
        found = self._resources.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self._resources, 1)
            raise CannotError(
                f"cannot {what}: there is no network resource {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else "see: zosnet-agent nr list",
                code=Exit.NOT_FOUND,
            )
        return found

    def holder(self, namespace: str) -> Local | None:
        """The one that this workload is attached to."""
        return next((local for local in self if local.workload(namespace)), None)

    def put(self, locals_: Iterable[Local]) -> None:
        """On the disk when this returns. Raises CannotError; then nothing has changed."""
        self._keep(self._resources | {local.name: local for local in locals_})

    def remove(self, names: Iterable[str]) -> None:
        gone = set(names)
        self._keep({n: local for n, local in self._resources.items() if n not in gone})

    def _keep(self, resources: Mapping[str, Local]) -> None:
        if self.damage is not None:
            raise self.damage
        files.store(PATH, _File([*resources.values()]))
        self._resources = dict(resources)
