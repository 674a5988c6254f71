"""
``python -m ropewalk``: the command ``ropewalk``.
"""

from ropewalk.run.cli import main

if __name__ == "__main__":
    main()
