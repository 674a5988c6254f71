"""
A Sphinx directive for what ``autodoc`` passes over, zope's interfaces::

    .. autointerface:: ropewalk.interfaces.IHub

gives the interface, its attributes and its methods with their docstrings, in the
order in which they are written. A package may have it from one of its modules. The
source is read, not run: an interface keeps neither the annotations of its methods nor
their order.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class AutoInterface(SphinxDirective):
    """
    The directive. Its argument is the interface's full name.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        full_name: str = self.arguments[0]
        module, _, name = full_name.rpartition(".")
        node = self._find(module, name)
        return self.parse_text_to_nodes("".join(_interface(module, node)))

    def _find(self, module: str, name: str) -> ast.ClassDef:
        """Where an interface is written: in a module, or where that has it from."""
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise self.error(f"there is no module {module}")
        self.env.note_dependency(spec.origin)
        for node in ast.walk(ast.parse(Path(spec.origin).read_text("utf-8"))):
            match node:
                case ast.ClassDef() if node.name == name:
                    return node
                case ast.ImportFrom(module=str(source), names=names) if name in {
                    each.name for each in names
                }:
                    return self._find(source, name)
        raise self.error(f"there is no {name} in {module}")


def _interface(module: str, node: ast.ClassDef) -> Iterator[str]:
    yield f".. py:class:: {module}.{node.name}\n\n"
    yield _indented(ast.get_docstring(node))
    for member in node.body:
        match member:
            case ast.FunctionDef():
                returns = f" -> {ast.unparse(member.returns)}" if member.returns else ""
                signature = f"{member.name}({ast.unparse(member.args)}){returns}"
                yield f"   .. py:method:: {signature}\n\n"
                yield indent(_indented(ast.get_docstring(member)), "   ")
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id="Attribute"), args=[about, *_]),
            ):
                yield f"   .. py:attribute:: {name}\n\n"
                yield indent(_indented(ast.literal_eval(about)), "   ")


def _indented(text: str | None) -> str:
    return indent(text or "", "   ") + "\n\n"


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("autointerface", AutoInterface)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
