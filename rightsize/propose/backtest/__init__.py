"""Make plans from the first part of the logs, replay the rest, and count the calls that the plans would have denied."""
