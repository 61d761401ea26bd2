"""Training data: readers of data sets, the training table, conversion and checks."""
