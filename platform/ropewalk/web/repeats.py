# -*- test-case-name: tests.test_repeats -*-
"""
Requests that come twice, since nobody knew whether the first one had come: with a key
in ``Idempotency-Key`` they are done once
(https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Annotated, Any, TypeVar

from attrs import define, field
from msgspec import Struct
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from ropewalk.errors import Fault, RopewalkError
from ropewalk.interfaces import Caller
from ropewalk.schema import Meta
from ropewalk.web.accept import asked_header
from ropewalk.web.gathering import BadRequest
from ropewalk.web.parameters import Parameter

__all__ = ["KEY", "Key", "Repeats", "StillRunning"]

T = TypeVar("T")

#: Characters of a key.
_LONGEST = 255

#: Bytes that something remembered takes beside the answer itself, at most.
_BESIDE = 1024

#: What the documentation says of a key.
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=_LONGEST,
        description="a new one for each request, that nobody can guess: who sends the "
        "request again with it is answered as before, and it is not done again",
    ),
]

#: Of the header with it.
KEY = Parameter("idempotency_key", "header", "Idempotency-Key", Key, required=False)


@define
class StillRunning(RopewalkError):
    """
    What is asked for once more is not done yet.
    """

    status = 409

    def __str__(self) -> str:
        return "a request with this Idempotency-Key has not ended; ask again later"


@define
class OtherRequest(RopewalkError):
    """
    A key was given to another request before.
    """

    status = 422

    def __str__(self) -> str:
        return "this Idempotency-Key came with another request; take a new key for each"


@define
class NotRemembered(RopewalkError):
    """
    What is asked for once more was done, and its answer was too long to be remembered.

    :ivar size: How many bytes it had.
    """

    status = 409

    size: int

    def __str__(self) -> str:
        return (
            "a request with this Idempotency-Key was done; its answer had "
            f"{self.size} bytes, and is not remembered"
        )


#: A caller, and a key of theirs.
Place = tuple[tuple[str, str], str]


class _Kept(Struct, frozen=True, eq=False):
    """
    A request that came with a key.

    :ivar asked: What tells it from others.
    :ivar answer: Gives what came of it; ``None`` as long as it runs.
    :ivar size: Bytes that it takes to remember that.
    """

    asked: bytes
    answer: Callable[[], Deferred[Any]] | None = None
    size: int = _BESIDE

    def again(self, asked: bytes) -> Deferred[Any]:
        """What is answered when its key comes once more."""
        if asked != self.asked:
            return fail(OtherRequest())
        return fail(StillRunning()) if self.answer is None else self.answer()


@define(eq=False)
class _Share:
    """
    What is remembered for one caller.

    :ivar size: Bytes of it.
    :ivar places: Where; the oldest comes first.
    """

    size: int = 0
    places: dict[Place, None] = field(factory=dict)


@define(eq=False)
class Repeats:
    """
    Requests that came with a key, and what they were answered. Only what was done is
    remembered: what was refused or cancelled may be tried anew.

    :param of_one: Bytes that are remembered for one caller; then the oldest of theirs
        are forgotten.
    :param of_all: Bytes that are remembered for all; then the oldest of all are.
    :ivar size: Bytes that are remembered.
    """

    _of_one: int = 256 * 1024
    _of_all: int = 16 * 1024 * 1024
    size: int = field(default=0, init=False)
    _kept: dict[Place, _Kept] = field(factory=dict, init=False)
    _shares: dict[tuple[str, str], _Share] = field(factory=dict, init=False)

    def once(
        self,
        request: Any,
        caller: Caller,
        do: Callable[[], Deferred[T]],
        size_of: Callable[[T], int] = len,  # type: ignore[assignment]
    ) -> Deferred[T]:
        """
        Do what a request asks for, unless it has a key and was done before.

        :param do: Does it.
        :param size_of: Measures what came of it, in bytes.
        :return: fires with what came of it, now or before.
        :raise BadRequest: When the key is none.
        :raise StillRunning: When it is not done yet.
        :raise OtherRequest: When the key came with something else.
        :raise NotRemembered: When it was done, and its answer was too long.
        """
        given = asked_header(request, b"idempotency-key")
        if not given:
            return do()
        if len(given) > 1 or not 1 <= len(given[0]) <= _LONGEST:
            return fail(BadRequest((_fault(given),)))
        place = caller.counts_as, given[0].decode("latin-1")
        asked = _print_of(request)
        known = self._kept.get(place)
        if known is not None:
            return known.again(asked)
        kept = _Kept(asked)
        self._add(place, kept)
        return do().addCallbacks(
            partial(self._end, place, kept, size_of),
            partial(self._fail, place, kept),
        )

    def _end(
        self, place: Place, kept: _Kept, size_of: Callable[[T], int], answer: T
    ) -> T:
        if self._kept.get(place) is kept:
            self._forget(place)
            size = _BESIDE + size_of(answer)
            if size <= self._of_one:
                self._add(place, _Kept(kept.asked, partial(succeed, answer), size))
            else:
                lost = NotRemembered(size - _BESIDE)
                self._add(place, _Kept(kept.asked, lambda: fail(lost)))
        return answer

    def _fail(self, place: Place, kept: _Kept, failure: Failure) -> Failure:
        if self._kept.get(place) is kept:
            self._forget(place)
        return failure

    def _add(self, place: Place, kept: _Kept) -> None:
        self._kept[place] = kept
        share = self._shares.setdefault(place[0], _Share())
        share.places[place] = None
        share.size += kept.size
        self.size += kept.size
        while share.size > self._of_one:
            self._forget(next(iter(share.places)))
        while self.size > self._of_all:
            self._forget(next(iter(self._kept)))

    def _forget(self, place: Place) -> None:
        kept = self._kept.pop(place)
        share = self._shares[place[0]]
        del share.places[place]
        share.size -= kept.size
        self.size -= kept.size
        if not share.places:
            del self._shares[place[0]]


def _fault(given: Sequence[bytes]) -> Fault:
    got = f"{len(given)} keys" if len(given) > 1 else f"{len(given[0])} characters"
    problem = f"expected one text of 1 to {_LONGEST} characters, got {got}"
    return Fault("Idempotency-Key", problem, "header")


def _print_of(request: Any) -> bytes:
    """What tells a request from others: where it goes, and what is in it."""
    request.content.seek(0)
    asked = blake2b(request.uri + b"\n", digest_size=16)
    asked.update(request.content.read())
    return asked.digest()
