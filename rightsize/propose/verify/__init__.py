"""Read a written plan back, prove it again against the store, and join it with decisions of reviewers."""
