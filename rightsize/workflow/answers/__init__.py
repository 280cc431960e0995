"""Answer questions about access, principals, controls and logs, and write the report."""
