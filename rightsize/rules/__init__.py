"""Rules about operations, as data files with a source per row, and the code that reads them."""
