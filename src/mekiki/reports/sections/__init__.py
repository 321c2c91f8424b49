"""The sections of a report, one file each: plain values in, a `Section` out.

To add one, write a function that returns a `Section` of existing blocks; the stage that gathers the values decides
where on the page it stands.
"""
