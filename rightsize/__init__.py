"""rightsize: what may each Azure principal do, what did it do, and what is the least that would have let it.

The names in `__all__` are the Python interface (docs/python.md). Everything else is private, and may change with every
version. Each name is loaded when it is first used: `import rightsize` itself loads no engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"
__all__ = [
    "AccessAnswer",
    "AccessError",
    "CheckAnswer",
    "ContainmentAnswer",
    "EvidenceError",
    "EvidenceWarning",
    "ExplainAnswer",
    "GateError",
    "InputError",
    "InternalError",
    "JobsAnswer",
    "LoadAnswer",
    "LogsAnswer",
    "PermissionBlock",
    "Plan",
    "ReachAnswer",
    "Reason",
    "RightsizeError",
    "RoleDefinition",
    "ServiceError",
    "Store",
    "UsageError",
    "VerifyAnswer",
    "Witness",
    "__version__",
    "contains",
    "open",
    "read_plan",
]

if TYPE_CHECKING:
    from rightsize.api.frames import Plan
    from rightsize.api.results import (
        AccessAnswer,
        CheckAnswer,
        EvidenceWarning,
        ExplainAnswer,
        JobsAnswer,
        LoadAnswer,
        LogsAnswer,
        ReachAnswer,
        VerifyAnswer,
    )
    from rightsize.api.roles import ContainmentAnswer, contains
    from rightsize.api.store import Store, open, read_plan
    from rightsize.model.errors import (
        AccessError,
        EvidenceError,
        GateError,
        InputError,
        InternalError,
        RightsizeError,
        ServiceError,
        UsageError,
    )
    from rightsize.model.nouns import PermissionBlock, Reason, RoleDefinition, Witness
else:
    _NAMES = {
        "api.frames": ("Plan",),
        "api.results": (*(name for name in __all__ if name.endswith("Answer")), "EvidenceWarning"),
        "api.roles": ("ContainmentAnswer", "contains"),
        "api.store": ("Store", "open", "read_plan"),
        "model.errors": tuple(name for name in __all__ if name.endswith("Error")),
        "model.nouns": ("PermissionBlock", "Reason", "RoleDefinition", "Witness"),
    }
    _MODULES = {name: module for module, names in _NAMES.items() for name in names}

    # Type checkers must not see it: they would take any name for one of rightsize.
    def __getattr__(name):
        """Return a name of the interface, loaded from its module."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return found

    def __dir__():
        """Return the names of the interface."""
        return list(__all__)
