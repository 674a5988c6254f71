"""
Blueprints as in Sanic: routes that know nothing of where they are, mounted at two
paths. Links lead to the right one.

::

    $ ropewalk run sanic_blueprints.py
    $ curl http://127.0.0.1:8080/v1/ropes
    {"hemp":"/v1/ropes/hemp","sisal":"/v1/ropes/sisal"}
    $ curl http://127.0.0.1:8080/v2/ropes
    {"hemp":"/v2/ropes/hemp","sisal":"/v2/ropes/sisal"}
    $ curl http://127.0.0.1:8080/v2/ropes/hemp
    {"name":"hemp","strength":60}
"""

from ropewalk.web import Request, Routes

STRENGTHS = {"hemp": 60, "sisal": 45}

blueprint = Routes()


@blueprint.get("/ropes")
def ropes(request: Request) -> dict[str, str]:
    """All ropes, and where each is."""
    return {name: request.link(rope, name=name) for name in STRENGTHS}


@blueprint.get("/ropes/<any(hemp, sisal):name>")
def rope(name: str) -> dict[str, str | int]:
    """A rope."""
    return {"name": name, "strength": STRENGTHS[name]}


routes = Routes()
routes.mount("/v1", blueprint)
routes.mount("/v2", blueprint)
