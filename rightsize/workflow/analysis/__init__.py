"""Analyse a store: verdicts, findings, behaviour, layers and reach, kept for all readers."""
