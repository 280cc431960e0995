"""Write the scripts that fetch a tenant's exports with `az`."""
