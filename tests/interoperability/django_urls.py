"""The addresses of the small Django site of `test_mozilla_django_oidc`, and its one page."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import ensure_csrf_cookie


@ensure_csrf_cookie
def home(request):
    """Shows who is signed in."""
    who = request.user.email if request.user.is_authenticated else "Nobody"
    return HttpResponse(f"<main id=main>{who}</main>")


def end_session(request):
    """Where `OIDC_OP_LOGOUT_URL_METHOD` sends the browser."""
    back = f"{request.scheme}://{request.get_host()}/"
    out = {"id_token_hint": request.session["oidc_id_token"], "post_logout_redirect_uri": back}
    return f"{settings.OIDC_OP_LOGOUT_ENDPOINT}?{urlencode(out)}"


urlpatterns = [path("", home), path("oidc/", include("mozilla_django_oidc.urls"))]
