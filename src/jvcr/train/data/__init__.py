"""What training draws its batches from."""
