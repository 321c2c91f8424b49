"""Our memory: one SQLite file in a workspace. SQL is written here and nowhere else."""
