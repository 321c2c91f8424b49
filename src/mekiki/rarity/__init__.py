"""How rare each of many things is: one scorer per file, arrays in, arrays out."""
