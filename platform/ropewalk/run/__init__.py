"""
The daemon: what composes all the other parts, starts them, and stops them.
"""
