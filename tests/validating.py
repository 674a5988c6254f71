"""
Whether a document is one of OpenAPI, for tests.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SkipTest

__all__ = ["require_validator", "validate"]


def require_validator() -> Any:
    """
    What validates documents.

    :raise SkipTest: Where it is not installed. In continuous integration that is an
        error.
    """
    try:
        from openapi_spec_validator import validate
    except ImportError as error:
        problem = f"{error}: `pip install 'ropewalk[test]'` brings it"
        if os.environ.get("CI"):
            raise AssertionError(problem) from error
        raise SkipTest(problem) from error
    return validate


def validate(document: Any) -> None:
    """
    See that it is one of OpenAPI 3.1.
    """
    require_validator()(document)
