"""The URLs of the small Django site of `test_mozilla_django_oidc`, and its only page."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import ensure_csrf_cookie


@ensure_csrf_cookie
def home(request):
    """The page that shows who is signed in."""
    shown = request.user.email if request.user.is_authenticated else "Nobody"
    return HttpResponse(f"<main id=main>{shown}</main>")


def end_session(request):
    """The URL to which the browser is redirected at logout; `OIDC_OP_LOGOUT_URL_METHOD` names this function."""
    home_url = f"{request.scheme}://{request.get_host()}/"
    parameters = {"id_token_hint": request.session["oidc_id_token"], "post_logout_redirect_uri": home_url}
    return f"{settings.OIDC_OP_LOGOUT_ENDPOINT}?{urlencode(parameters)}"


urlpatterns = [path("", home), path("oidc/", include("mozilla_django_oidc.urls"))]
