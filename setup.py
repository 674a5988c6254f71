"""
What is compiled, which setup.cfg cannot say. Everything else is said there.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # Where there is no compiler, ropewalk does without.
        Extension(
            "ropewalk.web._quick", ["platform/ropewalk/web/_quick.c"], optional=True
        )
    ]
)
