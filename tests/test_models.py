"""
Tests for L{ropewalk.web.models}.
"""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ropewalk.awaiting import inlineCallbacks
from ropewalk.errors import BadHandler, Conflict, RopewalkError
from ropewalk.interfaces import Steps
from ropewalk.web.binding import Header
from ropewalk.web.models import Permission
from ropewalk.web.patterns import BadLink, BadRule
from ropewalk.web.routes import Routes
from tests.visiting import Answer, Place


@define
class Company:
    """A model."""

    id: int


@define
class Bank(Company):
    """One kind of it."""


@define
class Person:
    """Another."""

    name: str


class Root:
    """What is at the root."""


@define
class User:
    """Who asks."""

    name: str


class Unauthorized(RopewalkError):
    """Nobody knows who asks."""

    status = 401


def find(id: int) -> Company | None:
    return Company(id) if id < 10 else None


class ModelCase(SynchronousTestCase):
    """
    Models on a site, and a client.
    """

    def setUp(self) -> None:
        self.place = Place.of()
        self.routes = Routes()

    def ask(self, path: str, method: str = "GET", *headers: str) -> Answer:
        if not list(self.place.site.mounts):
            self.place.mount("/", self.routes)
        return self.place.visit().ask(path, method, *headers)

    def refused(self, kind: type[Exception] = BadHandler) -> str:
        """Why what is there cannot be served."""
        self.place.mount("/", self.routes)
        return str(self.assertRaises(kind, self.place.site.mounts.compile))


class FindingTests(ModelCase):
    """
    From a path to a model.
    """

    def test_any_flavour(self) -> None:
        """
        The function that finds a model may be of any flavour; C{None} is answered
        with 404.
        """

        @inlineCallbacks
        def stepwise(id: int) -> Steps[Company | None]:
            found = yield succeed(find(id))
            return found  # type: ignore[no-any-return]

        async def later(id: int) -> Company | None:
            await succeed(None)
            return find(id)

        for function in find, stepwise, later:
            self.place, self.routes = Place.of(), Routes()
            self.routes.model(Company, "/companies/<int:id>")(function)

            @self.routes.view(Company)
            def show(company: Company) -> int:
                return company.id

            self.assertEqual(self.ask("/companies/7").json, 7)
            answer = self.ask("/companies/11")
            self.assertEqual(
                (answer.status, answer.json["detail"]), (404, "there is nothing here")
            )
            self.assertEqual(self.ask("/companies/x").status, 404)

    def test_what_it_asks_for(self) -> None:
        """
        It is given what it asks for, like any handler; it is called once.
        """
        calls = []

        @self.routes.component
        def user(x_user: Header[str] = "") -> User:
            return User(x_user)

        @self.routes.model(Company, "/<int:id>")
        def find_own(id: int, user: User, deleted: bool = False) -> Company | None:
            calls.append(id)
            return None if user.name != "root" or deleted else Company(id)

        @self.routes.permits(Company)
        def may(company: Company) -> bool:
            return True

        @self.routes.view(Company)
        def show(company: Company, id: int) -> list[int]:
            return [company.id, id]

        self.assertEqual(self.ask("/3", "GET", "X-User: root").json, [3, 3])
        self.assertEqual(calls, [3])
        self.assertEqual(self.ask("/3").status, 404)
        self.assertEqual(self.ask("/3?deleted=1", "GET", "X-User: root").status, 404)

    def test_methods(self) -> None:
        """
        In the routes of a class, all of it may be methods.
        """

        class Companies:
            routes = Routes()

            def __init__(self, *companies: Company) -> None:
                self._companies = {each.id: each for each in companies}

            @routes.model(Company, "/<int:id>")
            def find(self, id: int) -> Company | None:
                return self._companies.get(id)

            @routes.permits(Company)
            async def may(self, company: Company) -> bool:
                return company in self._companies.values()

            @routes.view(Company)
            def show(self, request: Any, company: Company) -> str:
                return str(request.link(company))

        self.place.mount("/one", Companies(Company(1)).routes)
        self.place.mount("/two", Companies(Company(2)).routes)
        visit = self.place.visit()
        self.assertEqual(visit.ask("/one/1").text, "/one/1")
        self.assertEqual(visit.ask("/two/2").text, "/two/2")
        self.assertEqual(visit.ask("/two/1").status, 404)

    def test_two_models(self) -> None:
        """
        A path may be about two.
        """
        self.routes.model(Company, "/companies/<int:id>")(find)

        @self.routes.model(Person, "/companies/<int:id>/people/<name>")
        def find_person(company: Company, name: str) -> Person | None:
            return Person(name) if company.id == 1 else None

        @self.routes.view(Person)
        def show(person: Person, company: Company) -> str:
            return f"{person.name} of {company.id}"

        self.assertEqual(self.ask("/companies/1/people/Ada").text, "Ada of 1")
        for path in "/companies/2/people/Ada", "/companies/11/people/Ada":
            self.assertEqual(self.ask(path).status, 404)

    def test_one_of_a_kind(self) -> None:
        """
        A path without parameters is about the only one there is.
        """

        root = Root()

        @self.routes.model(Root, "/")
        def find_root() -> Root:
            return root

        @self.routes.view(Root)
        def index(request: Any, root: Root) -> list[str]:
            return [request.link(root), request.link(root, "about")]

        @self.routes.view(Root, "about")
        def about(root: Root) -> str:
            return "about"

        self.assertEqual(self.ask("/").json, ["/", "/about"])
        self.assertEqual(self.ask("/about").text, "about")


class RuleTests(ModelCase):
    """
    Who may see a model.
    """

    def setUp(self) -> None:
        super().setUp()

        @self.routes.component
        def user(x_user: Header[str] = "") -> User:
            return User(x_user)

        @self.routes.model(Company, "/<int:id>")
        def found(id: int) -> Company | None:
            return find(id)

        @self.routes.view(Company)
        def show(company: Company) -> str:
            return "shown"

        @self.routes.view(Company, "edit", methods=["POST"], permission="edit")
        def edit(company: Company) -> str:
            return "edited"

    def test_every_view(self) -> None:
        """
        A rule guards every view, those that were there before it, too. What is not
        there is not forbidden.
        """

        @self.routes.permits(Company)
        def may(company: Company, user: User, permission: Permission) -> bool:
            return user.name == "root" or permission == "view"

        self.assertEqual(self.ask("/1").text, "shown")
        answer = self.ask("/1/edit", "POST")
        self.assertEqual(
            (answer.status, answer.json["detail"]), (403, "this is not for you")
        )
        self.assertEqual(self.ask("/1/edit", "POST", "X-User: root").text, "edited")
        self.assertEqual(self.ask("/11/edit", "POST").status, 404)

    def test_all_of_them(self) -> None:
        """
        Of several rules, all must say yes; the first that does not ends it. They may
        be of any flavour.
        """
        asked: list[str] = []

        @self.routes.permits(Company)
        def plain(request: Any) -> bool:
            asked.append("plain")
            return True

        @self.routes.permits(Company)
        @inlineCallbacks
        def stepwise(user: User) -> Steps[bool]:
            yield succeed(None)
            asked.append("stepwise")
            return user.name != "nobody"

        @self.routes.permits(Company)
        async def later(user: User) -> bool:
            await succeed(None)
            asked.append("later")
            return user.name == "root"

        self.assertEqual(self.ask("/1", "GET", "X-User: root").text, "shown")
        self.assertEqual(asked, ["plain", "stepwise", "later"])
        self.assertEqual(self.ask("/1").status, 403)
        asked.clear()
        self.assertEqual(self.ask("/1", "GET", "X-User: nobody").status, 403)
        self.assertEqual(asked, ["plain", "stepwise"])

    def test_raises(self) -> None:
        """
        What a rule raises is answered: 401, say.
        """

        @self.routes.permits(Company)
        async def may(user: User) -> bool:
            await succeed(None)
            if not user.name:
                raise Unauthorized
            return True

        self.assertEqual(self.ask("/1").status, 401)
        self.assertEqual(self.ask("/1", "GET", "X-User: Ada").text, "shown")

    def test_forgotten_return(self) -> None:
        """
        A rule that says nothing says no.
        """

        @self.routes.permits(Company)
        def may(company: Company) -> None:
            """Nothing comes of this."""

        self.assertEqual(self.ask("/1").status, 403)

    def test_before_the_body(self) -> None:
        """
        Who may not is not told what is wrong with the request.
        """
        self.routes.permits(Company)(lambda request: False)

        @self.routes.view(Company, "name", methods=["PUT"])
        def rename(company: Company, name: str, number: int) -> str:
            return ""

        self.assertEqual(self.ask("/1/name", "PUT").status, 403)

    def test_of_a_parent(self) -> None:
        """
        Rules are a class's own. One that has none is not served where its parent has
        some: somebody may have relied on them.
        """
        self.routes.permits(Company)(lambda request: False)

        @self.routes.model(Bank, "/banks/<int:id>")
        def bank(id: int) -> Bank:
            return Bank(id)

        @self.routes.view(Bank)
        def show(bank: Bank) -> str:
            return "bank"

        error = self.refused()
        self.assertRegex(error, r"^Bank \(.*test_models\.py:\d+\): nothing guards it")
        self.assertIn("say routes.permits(Bank) as well", error)
        self.place = Place.of()
        self.routes.permits(Bank)(lambda request: True)
        self.assertEqual(self.ask("/banks/1").text, "bank")
        self.assertEqual(self.ask("/1").status, 403)


class ViewTests(ModelCase):
    """
    What answers for a model, and links to it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.routes.model(Company, "/companies/<int:id>")(find)

    def serve(self) -> None:
        @self.routes.view(Company, "edit", methods=["GET"])
        def form(company: Company) -> str:
            return "form"

        @self.routes.view(Company, "edit", methods=["POST"])
        def edit(company: Company) -> str:
            return "edited"

        @self.routes.view(Company, "/people/<int:page>")
        def people(company: Company, page: int) -> str:
            return f"page {page}"

        @self.routes.view(Company)
        def show(request: Any, company: Company) -> list[str]:
            return [
                request.link(company),
                request.link(company, "edit"),
                request.link(company, "people/<int:page>", page=2),
                request.link(company, id=8),
                request.link(company, tab="a"),
                request.link(Company, id=9),
                request.link(Company, "edit", id=9),
                request.link(Bank(3)),
                request.link(show),
                request.url(company),
            ]

    def test_by_name_and_method(self) -> None:
        """
        A view has a name and methods; its name may have parameters.
        """
        self.serve()
        self.assertEqual(self.ask("/companies/1/edit").text, "form")
        self.assertEqual(self.ask("/companies/1/edit", "POST").text, "edited")
        self.assertEqual(self.ask("/companies/1/people/3").text, "page 3")
        self.assertEqual(self.ask("/companies/1", "POST").status, 405)

    def test_links(self) -> None:
        """
        Links come from a model, or from its class; one of a class below it is one.
        """
        self.serve()
        links = [
            "/companies/7",
            "/companies/7/edit",
            "/companies/7/people/2",
            "/companies/8",
            "/companies/7?tab=a",
            "/companies/9",
            "/companies/9/edit",
            "/companies/3",
            "/companies/7",
            "http://example.org/companies/7",
        ]
        self.assertEqual(self.ask("/companies/7").json, links)

    def test_moved(self) -> None:
        """
        To change the path in one place moves all the links.
        """
        self.routes = Routes()
        self.routes.model(Company, "/firms/no-<int:id>")(find)
        self.serve()
        links = self.ask("/firms/no-7").json
        self.assertEqual(links[:2], ["/firms/no-7", "/firms/no-7/edit"])

    def test_no_such_view(self) -> None:
        """
        A view that there is not is told, with the one that was meant.
        """
        self.serve()
        self.place.mount("/", self.routes)
        links = self.place.site.mounts.links
        error = self.assertRaises(BadLink, links.to, Company(1), {}, "edti")
        self.assertEqual(
            str(error),
            "no link to 'a Company': there is no view 'edti' on it; did you mean "
            "'edit'?",
        )

    def test_variables(self) -> None:
        """
        What is in the path need not be the names of attributes.
        """

        @self.routes.model(
            Person, "/people/<initial>/<word>", variables=lambda one: _path_of(one)
        )
        def person(initial: str, word: str) -> Person:
            return Person(initial + word)

        @self.routes.view(Person)
        def show(request: Any, person: Person) -> str:
            return str(request.link(person))

        self.assertEqual(self.ask("/people/A/da").text, "/people/A/da")

    def test_no_such_attributes(self) -> None:
        """
        Otherwise, a link says what is missing.
        """

        @self.routes.model(Person, "/people/<int:number>")
        def person(number: int) -> Person:
            return Person("Ada")

        @self.routes.view(Person)
        def show(request: Any, person: Person) -> str:
            return str(request.link(person))

        self.place.mount("/", self.routes)
        links = self.place.site.mounts.links
        error = self.assertRaises(BadLink, links.to, Person("Ada"), {})
        self.assertEqual(
            str(error),
            "no link to '/people/<int:number>': a Person has no attribute 'number': "
            "say routes.model(Person, …, variables=…)",
        )

    def test_two_paths(self) -> None:
        """
        A model may have another path in other routes: each links to its own, with the
        variables of that.
        """
        self.serve()
        other = Routes()

        @other.model(
            Company, "/firms/<word>", variables=lambda one: {"word": f"no{one.id}"}
        )
        def by_word(word: str) -> Company:
            return Company(int(word[2:]))

        @other.view(Company)
        def show(request: Any, company: Company) -> str:
            return str(request.link(company))

        self.place.mount("/a", self.routes)
        self.place.mount("/b", other, "other")
        visit = self.place.visit()
        self.assertEqual(visit.ask("/a/companies/7").json[0], "/a/companies/7")
        self.assertEqual(visit.ask("/b/firms/no7").text, "/b/firms/no7")

    def test_options(self) -> None:
        """
        A view has the options of any route.
        """

        @self.routes.view(Company, name="slow", kind="stream", longest_body=5)
        def slow(request: Any, company: Company) -> Any:
            yield str(request.route.options.longest_body)

        self.assertEqual(self.ask("/companies/1/slow").text, "5")

    def test_subroute(self) -> None:
        """
        A model and its views may be in a C{subroute}, together.
        """
        self.routes = Routes()
        with self.routes.subroute("/v1"):
            self.routes.model(Company, "/<int:id>")(find)

            @self.routes.view(Company)
            def show(request: Any, company: Company) -> str:
                return str(request.link(company))

        self.assertEqual(self.ask("/v1/7").text, "/v1/7")
        error = self.assertRaises(BadHandler, self.routes.view, Company, "more")
        self.assertIn("its path is said in another subroute", str(error))


def _path_of(person: Person) -> dict[str, str]:
    return {"initial": person.name[0], "word": person.name[1:]}


class MistakeTests(ModelCase):
    """
    What is said where it is wrong.
    """

    def test_no_path(self) -> None:
        """
        A view or rule for a model without a path is told so, with its place; also
        that its parent has one.
        """
        for say in self.routes.view, self.routes.permits:
            error = str(self.assertRaises(BadHandler, lambda: say(Company)))  # noqa: B023
            self.assertRegex(error, r"^Company \(.*test_models\.py:\d+\): it has no")
        self.routes.model(Company, "/<int:id>")(find)
        error = str(self.assertRaises(BadHandler, self.routes.view, Bank))
        self.assertIn("or mean Company, which has one", error)

    def test_two_paths(self) -> None:
        """
        A model has but one path in its routes.
        """
        model = self.routes.model
        model(Company, "/<int:id>")
        error = str(self.assertRaises(BadHandler, lambda: model(Company, "/c/<id>")))
        self.assertIn("it has a path already: /<int:id> (", error)
        self.assertEqual(error.count("test_models.py:"), 2)

    def test_wrong_things(self) -> None:
        """
        What is no class, no path or no list is refused.
        """
        model, view = self.routes.model, self.routes.view
        self.assertRaises(TypeError, model, "/companies/<int:id>", Company)
        self.assertRaises(TypeError, model, Company(1), "/companies/<int:id>")
        self.assertRaises(TypeError, view, "edit")
        self.assertRaises(BadRule, model, Company, "/<itn:id>")
        model(Company, "/<int:id>")
        self.assertRaises(TypeError, view(Company, methods="POST"), find)

    def test_other_names(self) -> None:
        """
        A function that does not take what is in the path stops the start.
        """

        @self.routes.model(Company, "/<int:number>")
        def by_id(id: int) -> Company:
            return Company(id)

        @self.routes.view(Company)
        def show(company: Company) -> str:
            return ""

        self.assertIn("'number' is in the path, but no parameter", self.refused())

    def test_two_views(self) -> None:
        """
        Two views of one name and method stop the start.
        """
        self.routes.model(Company, "/<int:id>")(find)
        for _ in range(2):

            @self.routes.view(Company, "edit")
            def edit(company: Company) -> str:
                return ""

        self.assertIn("'GET /<int:id>/edit' is claimed twice", self.refused(Conflict))
