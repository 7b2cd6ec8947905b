"""Every backend, in one table."""

from collections.abc import Collection

from attacks.backends.contract import BackendEntry
from attacks.backends.foolbox import FOOLBOX
from attacks.backends.torchattacks import TORCHATTACKS
from attacks.contract import AttackEntry
from attacks.errors import RequestError
from attacks.registration import Registry

NATIVE = BackendEntry(name="native", summary="our own implementations", source="each attack's own paper")

BACKENDS: Registry[BackendEntry] = Registry("backend", "erbench.backends", (NATIVE, TORCHATTACKS, FOOLBOX))


def check_backend(backend: BackendEntry, attack: AttackEntry, given: Collection[str]) -> None:
    """Raise `RequestError` when a backend lacks the attack, its package, or an option that was `given` by name."""
    backend.attack(attack.name, attack.attack)
    for name in sorted(backend.ignores.get(attack.name, frozenset()) & set(given)):
        raise RequestError(f"--backend {backend.name} does not know --{name.replace('_', '-')} for {attack.name}")
