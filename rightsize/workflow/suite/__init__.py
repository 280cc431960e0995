"""Make generated tenants, plan on them, and judge plans by the planted truth."""
