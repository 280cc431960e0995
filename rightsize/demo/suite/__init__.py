"""Generate the tenants of the public benchmark, on the whole catalogue of Azure, with needs of every class planted."""
