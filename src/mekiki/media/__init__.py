"""Photos and videos in, pixels and times out."""
