"""Read what a deployment of code makes, changes and deletes, and which operations that takes."""
