"""Networks in the open: data, backbones, losses, the loop, and the file that a model is."""
