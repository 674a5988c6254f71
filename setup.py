"""
What is compiled, which setup.cfg cannot say. Everything else is said there.
"""

from setuptools import Extension, setup

setup(
    # Where there is no compiler, ropewalk does without.
    ext_modules=[
        Extension(f"ropewalk.{name}", [f"platform/ropewalk/{path}"], optional=True)
        for name, path in (
            ("net._segments", "net/_segments.c"),
            ("web._quick", "web/_quick.c"),
            ("wire._lines", "wire/_lines.c"),
        )
    ]
)
