"""Exported files to common raw columns plus rejects: one projection a shape, one normalisation for all."""
