"""Generate the plan: minimal roles and assignments from verdicts, one package a stage."""
