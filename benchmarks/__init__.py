"""
Ropewalk beside its peers, and what some of its parts cost.
"""
