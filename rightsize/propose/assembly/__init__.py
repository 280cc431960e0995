"""Assemble a plan from drafts: proposals with evidence and proof, new roles, advice, and the price of reads."""
