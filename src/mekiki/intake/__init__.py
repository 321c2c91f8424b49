"""What files are: where reading pictures and naming them by content come together."""
