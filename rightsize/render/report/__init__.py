"""The report: one self-contained HTML file, readable without scripts, quick with them."""
