"""The form of registration."""

from idp.onboarding import forms

DETAILS = {"name": "Jo Bloggs", "email": "office@oakhill.example", "mobile": "07700 900123"}


def test_the_declaration_is_required(app):
    for declaration, errors in (("y", []), ("", ["declaration"])):
        with app.test_request_context(method="POST", data=DETAILS | {"declaration": declaration}):
            form = forms.DetailsForm(meta={"csrf": False})
            form.validate()
            assert list(form.errors) == errors
