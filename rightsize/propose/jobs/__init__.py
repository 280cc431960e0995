"""Find the jobs of a tenant: groups of changes that the same holders use. They decide which roles a plan writes."""
