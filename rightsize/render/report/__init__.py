"""Write the report: one self-contained HTML file, readable without scripts, quicker with them."""
