"""Read exported files into the staging tables: recognise each file, project and normalise its fields, count rejects."""
