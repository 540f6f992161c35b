"""Writes the model card of a package: what it is for, how good it was found to be, and its licences."""

# Mitchell et al. 2019, "Model Cards for Model Reporting", section 4: details, use, metrics, data, caveats.

from __future__ import annotations

from pathlib import Path

from edgedistill.package import templates
from edgedistill.package.contract import Contract
from edgedistill.report import people
from edgedistill.report.people import figure

_LABELS = 30  # names that the card lists


def text(contract: Contract, folder: Path) -> str:
    """MODEL_CARD.md; ``folder``: of the build, whose card.md, where it has one, is quoted by name."""
    accuracy = contract.accuracy
    return templates.render(
        "MODEL_CARD.md.j2",
        {
            "contract": contract,
            "labels": contract.labels[:_LABELS],
            "more": max(len(contract.labels) - _LABELS, 0),
            "own_card": (folder / "card.md").is_file(),
            "accuracies": [
                (name, people.percent(share, 2), _right(share, accuracy.test_images))
                for name, share in (
                    ("int8, as shipped", accuracy.student_int8),
                    ("float32, before quantisation", accuracy.student_float),
                    ("teacher", accuracy.teacher),
                )
            ],
            "files": [(m.path, m.format, people.size(m.size_bytes), m.sha256) for m in contract.models],
            "proofs": [
                (
                    r.runtime,
                    r.artifact,
                    "not run" if r.how == "not run" else f"{r.identical:,} of {r.values:,}",
                    r.how,
                )
                for r in contract.parity
            ],
            "figures": [
                (m.quantity, m.artifact, figure(m), m.how, m.device or m.runtime, m.note)
                for m in contract.measurements
            ],
        },
    )


def _right(share: float | None, images: int) -> str:
    return people.MISSING if share is None or not images else f"{round(share * images):,} of {images:,}"
