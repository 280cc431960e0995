"""List what is missing from a store, and how much excess each missing thing would make decidable at most."""
