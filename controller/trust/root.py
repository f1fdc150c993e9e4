"""The root key's secret, taken away from the controller: handed out once, and removed when somebody
has shown that it is kept elsewhere, whole.

    root = Root(keeper)
    sealed = root.hand_out(deed, public)      # for the holder of an X25519 key
    root.remove(deed, proof)                  # proof: the root key's signature of `challenge`
"""

from nacl import bindings
from nacl.exceptions import BadSignatureError
from nacl.public import PublicKey, SealedBox

from controller.refusal import RefusedError
from controller.registry import Registry
from controller.signing import keyring
from controller.store.work import Work
from controller.trust.keeper import Deed, Keeper, Outcome
from protocol.keys import SIGNATURE_SIZE
from protocol.messages import Code
from runtime.failure import CannotError, Exit

PROOF = b"zosnet/root-proof/v1\0"


class Root:
    def __init__(self, registry: Registry, keeper: Keeper) -> None:
        self._registry, self._keeper = registry, keeper

    @property
    def challenge(self) -> bytes:
        """What the root key signs to show that it is elsewhere."""
        return PROOF + self._keeper.now.signed.payload

    def hand_out(self, deed: Deed, public: bytes) -> bytes:
        """The secret, sealed for the X25519 key `public`. Raises RefusedError."""
        self._must_be_here()
        secret = keyring.read_key(self._registry.keyring.directory / "root")
        sealed = SealedBox(PublicKey(public)).encrypt(secret)

        def do(work: Work) -> Outcome:
            work.note(deed.actor, "key.take-root", "root", "its secret was handed out")
            return self._keeper.now

        deed.change(do)
        return sealed

    def remove(self, deed: Deed, proof: bytes) -> None:
        """Raises RefusedError, and CannotError when the proof is none."""
        self._must_be_here()
        try:
            told = proof[:SIGNATURE_SIZE] + self.challenge
            bindings.crypto_sign_open(told, bytes(self._registry.keyring.root))
        except (BadSignatureError, ValueError) as error:
            raise CannotError(
                "cannot take the root key offline: what was shown does not prove that it is kept",
                hint="ncadm key offline-root FILE writes it, reads it again, and proves it",
                code=Exit.VERIFICATION,
            ) from error

        def do(work: Work) -> Outcome:
            work.note(deed.actor, "key.drop-root", "root", "its secret is not here any more")
            return self._keeper.now

        deed.change(do)
        self._registry.keyring = keyring.without_root(self._registry.keyring)

    def _must_be_here(self) -> None:
        if self._registry.keyring.root_signer is None:
            raise RefusedError(
                Code.CONFLICT,
                "cannot take the root key offline: it is not here any more",
                hint="changes of the keyset go by: ncadm key export",
            )
