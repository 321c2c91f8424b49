"""What a data set is made of: ids, labels, groups, duplicates, splits and file formats."""
