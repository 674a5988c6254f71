"""
Targets for a fuzzer that is led by coverage: see ``README.rst``.
"""
