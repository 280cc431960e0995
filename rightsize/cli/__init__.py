"""The command line: read the options, call one workflow, show its result."""
