"""Read YAML, which an extra of the program does."""

from __future__ import annotations

from rightsize.model.errors import InputError, UsageError, install_extra


def read_yaml(text: str) -> object:
    """Return the value of a YAML text.

    Raises:
        InputError: It is no YAML.
        UsageError: The package that reads YAML is not installed.
    """
    try:
        import yaml  # noqa: PLC0415  an extra
    except ImportError:
        hint = f"install the extra that reads it: `{install_extra('iac')}`"
        raise UsageError("YAML is not read by this installation", hint=hint) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"not valid YAML: {str(error).splitlines()[0][:200]}") from None
