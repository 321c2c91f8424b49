"""What every stage needs and none should write again: what is left to do, batches, failures, resume."""
