"""Names of generated code are identifiers, whatever a build's folder is called."""

from __future__ import annotations

import keyword
import re

from hypothesis import given
from hypothesis import strategies as st

from edgedistill.package.names import names

ALPHABET = "aZz09_-. /\\é\u202e中🦊\n\0$"
KEYWORDS = {"class", "in", "object", "fun", "package", "import", "func", "default", "struct", "native"}


@given(st.text(ALPHABET, max_size=80))
def test_any_build_gives_identifiers(build: str) -> None:
    made = names(build)
    assert re.fullmatch(r"[a-z][a-z0-9_]*_student", made.module) and len(made.module) <= 60
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*Student", made.type)
    assert made.package == f"edgedistill.{made.module}"


def test_keywords_become_names_and_builds_stay_apart() -> None:
    made = [names(word) for word in sorted(KEYWORDS | set(keyword.kwlist))]
    assert all(name.module not in KEYWORDS and not keyword.iskeyword(name.module) for name in made)
    assert names("android-arm64").module == "android_arm64_student"
    assert names("android-arm64").type == "AndroidArm64Student"
    assert names("../../etc").module == "etc_student"
