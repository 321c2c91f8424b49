"""Label formats, one file each: what is read becomes `Record`, what is written comes from `OutItem`."""
