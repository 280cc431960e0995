"""Propose to remove or narrow federated credentials."""
