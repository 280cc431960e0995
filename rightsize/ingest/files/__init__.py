"""Find files, open them as they are packed and encoded, and count what was refused."""
