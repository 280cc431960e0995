"""Find days on which a principal acted unlike its own past and its peers."""
