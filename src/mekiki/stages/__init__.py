"""One verb per file: select items, call functions, write rows."""
