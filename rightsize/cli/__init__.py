"""The command line: parse, call a workflow, show the result."""
