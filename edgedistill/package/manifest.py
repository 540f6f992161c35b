"""Says of every file of a package what it is, signs that, and finds files that were altered, added or lost.

manifest.json lists sha256 and size of every other file. Beside it lies manifest.json.sha256, in the
format of sha256sum, and where a key was given manifest.json.sig: the raw Ed25519 signature (RFC 8032)
of manifest.json's bytes. `openssl pkeyutl -verify -rawin -pubin -inkey KEY -sigfile manifest.json.sig
-in manifest.json` checks it without this project.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edgedistill.bench.files import sha256_of
from edgedistill.errors import GateError, InputError

if TYPE_CHECKING:
    from edgedistill.package.contract import Contract

NAME = "manifest.json"
DIGEST = f"{NAME}.sha256"
SIGNATURE = f"{NAME}.sig"
OWN = (NAME, DIGEST, SIGNATURE)
_MAX_BYTES = 16 * 2**20  # of a manifest that is read


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _within(path: str) -> str:
    parts = path.split("/")
    if not path or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError("a path that leaves the folder")
    return path


class File(_Value):
    """A file below the package's folder."""

    path: Annotated[str, AfterValidator(_within)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class Proved(_Value):
    """A runtime that gave the same values as the integer graph."""

    runtime: str
    artifact: str
    how: str
    values: int
    identical: int


class Manifest(_Value):
    """manifest.json."""

    schema_version: Literal[1] = 1
    package: str  # a row of PACKAGES
    edgedistill_version: str
    model: str
    task: str
    recipe_sha256: str
    licence_data: str  # "not declared" where the recipe says nothing
    licence_teacher: str
    runtimes: tuple[Proved, ...]
    versions: dict[str, str]  # of the libraries that built the model
    signed_by: str | None  # the Ed25519 public key in hex; None: unsigned
    files: tuple[File, ...]


class Checked(_Value):
    """What ``check`` found out."""

    manifest: Manifest
    signature: Literal["unsigned", "not checked", "valid"]


def write(contract: Contract, package: str, version: str, out: Path, key: Path | None = None) -> Manifest:
    """Writes manifest.json, its digest, and with a key its signature, of all files in ``out``.

    Raises:
        InputError: the key cannot be read, or the library for it is not installed.
    """
    signer = None if key is None else _private(key)
    for name in OWN:
        (out / name).unlink(missing_ok=True)
    made = Manifest(
        package=package,
        edgedistill_version=version,
        model=contract.name,
        task=contract.task,
        recipe_sha256=contract.recipe_sha256,
        licence_data=contract.licences.data or "not declared",
        licence_teacher=contract.licences.teacher or "not declared",
        runtimes=tuple(
            Proved(runtime=r.runtime, artifact=r.artifact, how=r.how, values=r.values, identical=r.identical)
            for r in contract.parity
            if r.how != "not run"
        ),
        versions=dict(contract.versions),
        signed_by=None if signer is None else _public_hex(signer),
        files=tuple(
            File(path=path, sha256=sha256_of(file), size_bytes=file.stat().st_size)
            for path, file in _files(out).items()
        ),
    )
    content = (json.dumps(made.model_dump(mode="json"), indent=1, ensure_ascii=True) + "\n").encode()
    (out / NAME).write_bytes(content)
    (out / DIGEST).write_text(f"{hashlib.sha256(content).hexdigest()}  {NAME}\n", encoding="ascii")
    if signer is not None:
        (out / SIGNATURE).write_bytes(signer.sign(content))
    return made


def check(folder: Path, public_key: Path | None = None) -> Checked:
    """Holds a package against its manifest.

    Args:
        folder: of the package.
        public_key: of the signer, as PEM; None: a signature is not checked.

    Raises:
        InputError: the manifest cannot be read, or the key.
        GateError: a file was altered, added or lost, or the signature is missing or not of this key.
    """
    made, content = _read(folder)
    told = (
        (folder / DIGEST).read_text(encoding="ascii", errors="replace") if (folder / DIGEST).is_file() else ""
    )
    wrong = (
        [] if told.startswith(hashlib.sha256(content).hexdigest()) else [f"{DIGEST} is of another manifest"]
    )
    found, listed = _files(folder), {file.path: file for file in made.files}
    wrong += [f"{path} is missing" for path in sorted(listed.keys() - found.keys())]
    wrong += [f"{path} was added" for path in sorted(found.keys() - listed.keys())]
    wrong += [
        f"{path} was altered"
        for path in sorted(found.keys() & listed.keys())
        if found[path].is_symlink() or sha256_of(found[path]) != listed[path].sha256
    ]
    if wrong:
        raise GateError(
            "this is not the package that was made: "
            + "; ".join(wrong[:10])
            + ("; ..." if wrong[10:] else ""),
            where=str(folder),
            fix="copy it again, or make it again with `edgedistill package`; do not ship it",
        )
    if public_key is not None:
        _check_signature(folder, content, public_key)
        return Checked(manifest=made, signature="valid")
    return Checked(manifest=made, signature="unsigned" if made.signed_by is None else "not checked")


def is_package(folder: Path) -> bool:
    """Whether a folder is a package that this module knows to check."""
    return (folder / NAME).is_file() and (folder / DIGEST).is_file()


def _files(folder: Path) -> Mapping[str, Path]:
    found = (file for file in folder.rglob("*") if file.is_symlink() or file.is_file())
    named = {file.relative_to(folder).as_posix(): file for file in found}
    return {path: named[path] for path in sorted(named) if path not in OWN}


def _read(folder: Path) -> tuple[Manifest, bytes]:
    path = folder / NAME
    fix = "give the folder of a package, as `edgedistill package` wrote it"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"it is larger than {_MAX_BYTES >> 20} MiB", where=str(path), fix=fix)
        content = path.read_bytes()
        return Manifest.model_validate_json(content), content
    except OSError as error:
        raise InputError(
            f"the manifest cannot be read: {error.strerror}", where=str(path), fix=fix
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"this is not a manifest: {key + ': ' if key else ''}{first['msg']}", where=str(path), fix=fix
        ) from error


def _check_signature(folder: Path, content: bytes, public_key: Path) -> None:
    serialization, ed25519 = _library()
    from cryptography.exceptions import InvalidSignature

    try:
        key = serialization.load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(public_key, "public", error) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise _no_key(public_key, "public", "it is of another kind")
    try:
        key.verify((folder / SIGNATURE).read_bytes(), content)
    except FileNotFoundError as error:
        raise GateError("the package is unsigned", where=str(folder), fix="ask for a signed one") from error
    except InvalidSignature as error:
        raise GateError(
            "the signature is not of this manifest and this key",
            where=str(folder / SIGNATURE),
            fix="use the signer's public key; do not ship a package whose signature does not fit",
        ) from error


def _private(path: Path) -> Any:
    serialization, ed25519 = _library()
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(path, "private", error) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _no_key(path, "private", "it is of another kind")
    return key


def _public_hex(signer: Any) -> str:
    serialization, _ = _library()
    raw: bytes = signer.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return raw.hex()


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise InputError(
            "signatures need the cryptography library",
            where="--sign or --public-key",
            fix="pip install 'edgedistill[sign]'",
        ) from error
    return serialization, ed25519


def _no_key(path: Path, kind: str, cause: object) -> InputError:
    return InputError(
        f"this is not an Ed25519 {kind} key in PEM without a password: {cause}",
        where=str(path),
        fix="openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out pub.pem",
    )
