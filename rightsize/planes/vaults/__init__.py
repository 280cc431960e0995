"""Key vaults with access policies: what their holders used, and the roles that replace the policies."""
