"""Cover sets with few sets: bounds, exact parts, searches and the integer solver. Knows nothing of Azure."""
