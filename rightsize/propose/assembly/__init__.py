"""Put the stages together: evidence, proposals, advice, and the plan as it is written."""
