"""Name the operations that pull images from a container registry and push them there."""

from __future__ import annotations

from rightsize.rbac.text import Folded

IMAGES = (
    Folded("microsoft.containerregistry/registries/pull/read"),
    Folded("microsoft.containerregistry/registries/push/write"),
)
"""The folded operations of the built-in role AcrPush: a registry shows them only in a log of its own."""
