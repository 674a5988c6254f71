"""
A model that has a path as in Morepath: links are made from the company, not from
strings, and one rule guards all that can be done with it. To move all links, change the
one path.

::

    $ ropewalk run morepath_company.py
    $ curl http://127.0.0.1:8080/companies/7
    {"name":"Hemp & Sons","edit":"/companies/7/edit"}
    $ curl -X POST http://127.0.0.1:8080/companies/7/edit
    {"title": "Forbidden", "status": 403, "detail": "this is not for you"}
    $ curl -X POST -H 'X-User: root' http://127.0.0.1:8080/companies/7/edit?name=Sisal
    {"name":"Sisal","edit":"/companies/7/edit"}
"""

from dataclasses import dataclass

from ropewalk.web import Header, Permission, Request, Routes

routes = Routes()


@dataclass
class Company:
    id: int
    name: str


COMPANIES = {7: Company(7, "Hemp & Sons")}


@routes.model(Company, "/companies/<int:id>")
def find(id: int) -> Company | None:
    return COMPANIES.get(id)


@routes.permits(Company)
def may(company: Company, permission: Permission, x_user: Header[str] = "") -> bool:
    return permission == "view" or x_user == "root"


@routes.view(Company)
def show(request: Request, company: Company) -> dict[str, str]:
    return {"name": company.name, "edit": request.link(company, "edit")}


@routes.view(Company, "edit", methods=["POST"], permission="edit")
def edit(request: Request, company: Company, name: str) -> dict[str, str]:
    company.name = name
    return show(request, company)
