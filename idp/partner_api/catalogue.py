"""The catalogue of scopes, published: which member of a record is given out under which scope.

Resource servers filter by it and need no copy of `config/scopes.toml`; partners read in it what a scope carries.
"""

from idp.foundation import scopes
from idp.partner_api.operations import public_document
from idp.partner_api.responses import CatalogueScope, ScopeCatalogue, ScopeField


@public_document(summary="Read what each scope carries", response_body=ScopeCatalogue, per_minute=600)
def list_scopes() -> ScopeCatalogue:
    """Each scope with its title and explanation, and of data scopes the members of records that it names.

    A response with school data contains a member only if a granted scope names it. No scope names the `id` of a
    record: it is always there.
    """
    return ScopeCatalogue(scopes=tuple(map(_to_catalogue_scope, scopes.catalogue().values())))


def _to_catalogue_scope(scope: scopes.Scope) -> CatalogueScope:
    return CatalogueScope(
        scope=scope.name, kind=scope.kind, title=scope.title, explanation=scope.explanation,
        special_category=scope.special_category,
        fields=tuple(ScopeField(title=title, members=members) for title, members in scope.fields.items()),
    )  # fmt: skip
