"""One spelling for every spec, so that equal specs have equal hashes."""

import dataclasses
import hashlib
import json
from typing import Any

HASH_LENGTH = 16  # hex digits; 64 bits, so that a million runs collide with a chance of 3e-8


def plain(value: Any) -> Any:
    """Turn dataclasses (also nested), tuples and mappings into what JSON knows; other values stay."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN is refused."""
    return spelled(plain(value))


def full_hash(value: Any) -> str:
    """SHA-256 of the canonical JSON, as hex: a checksum."""
    return json_hash(plain(value))


def json_hash(value: Any) -> str:
    """`full_hash` of what was read from JSON, which is plain already."""
    return hashlib.sha256(spelled(value).encode()).hexdigest()


def spelled(value: Any) -> str:
    """`canonical_json` of what was read from JSON, which is plain already."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(value: Any) -> str:
    """The same, shortened to `HASH_LENGTH` hex digits: a name."""
    return full_hash(value)[:HASH_LENGTH]
