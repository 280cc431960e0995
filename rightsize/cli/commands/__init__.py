"""The commands by subject: each reads its options, calls one workflow and shows its result."""
