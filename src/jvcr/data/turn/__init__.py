"""Near-frontal faces turned to larger yaws."""
