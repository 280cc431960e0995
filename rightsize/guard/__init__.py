"""Plan the emergency containment of one principal."""
