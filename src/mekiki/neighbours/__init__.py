"""What lies near what: hashes by their bits, vectors by their angle, exactly or through an index."""
