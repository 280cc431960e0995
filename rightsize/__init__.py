"""rightsize: what may each Azure principal do, what did it do, and what is the least that would have let it."""

__version__ = "0.2.0"
