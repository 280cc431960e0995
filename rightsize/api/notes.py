"""Warn of what an answer lacks, by Python's warnings."""

from __future__ import annotations

import warnings


class EvidenceWarning(UserWarning):
    """An answer rests on less than it could; the message says what is missing.

    Examples:
        >>> import warnings
        >>> import rightsize
        >>> warnings.simplefilter("error", rightsize.EvidenceWarning)  # raise it instead of the answer
        >>> warnings.simplefilter("default", rightsize.EvidenceWarning)
    """


def warn(text: str) -> None:
    """Warn whoever called the method of the interface that calls this."""
    warnings.warn(text, EvidenceWarning, stacklevel=3)
