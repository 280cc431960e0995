"""Read the rules about operations from CSV files that give a source for every row."""
