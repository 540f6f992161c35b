"""Makes the names of generated code from a build's name: identifiers, never keywords, never from labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgedistill.package import escape

_LONGEST = 40  # of what a build's name gives: long enough to tell builds apart, short enough for every tool
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True)
class Names:
    """Of generated code. All end in _student or Student: none is a keyword of Kotlin, Java or Swift."""

    module: str  # snake case, such as android_arm64_student: the Gradle module, the folder of the assets
    package: str  # of Kotlin, such as edgedistill.android_arm64_student
    type: str  # of Swift's module, such as AndroidArm64Student


def names(build: str) -> Names:
    """The names for a build, whatever its folder is called."""
    stem = escape.identifier(build)[:_LONGEST].rstrip("_")
    module = f"{stem}_student"
    assert _IDENTIFIER.match(module), f"{module} is an identifier"
    return Names(
        module=module,
        package=f"edgedistill.{module}",
        type="".join(word.capitalize() for word in module.split("_") if word),
    )
