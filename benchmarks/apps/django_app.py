"""
Django: its routes and views, and no middleware, database, session or template.

    gunicorn django_app:app
"""

import msgspec
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.urls import path
from goods import BIG, HELLO, Item

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no use here",
)

decode = msgspec.json.Decoder(Item).decode


def hello(request):
    return HttpResponse(HELLO, content_type="text/plain")


def message(request):
    return JsonResponse({"message": HELLO})


def user(request, id):
    return JsonResponse({"id": id})


def items(request):
    try:
        item = decode(request.body)
    except msgspec.MsgspecError:
        return HttpResponseBadRequest()
    return HttpResponse(msgspec.json.encode(item), content_type="application/json")


def big(request):
    return HttpResponse(BIG, content_type="application/octet-stream")


urlpatterns = [
    path("", hello),
    path("json", message),
    path("users/<int:id>", user),
    path("items", items),
    path("big", big),
]

app = get_wsgi_application()
