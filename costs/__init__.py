"""What a stack costs a month, what a change does to that, and what else the change does."""
