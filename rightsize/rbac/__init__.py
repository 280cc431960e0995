"""What Azure permissions mean, exactly: patterns, blocks, scopes, effective access. Pure."""
