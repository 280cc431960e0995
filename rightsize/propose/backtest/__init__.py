"""Learn on the first part of the window, replay the rest, and count what a plan would have broken."""
