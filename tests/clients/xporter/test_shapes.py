"""The shapes of records fit what the provider publishes."""

from clients.xporter.fields import Catalogue
from clients.xporter.shapes import SHAPES
from tests.clients.xporter import school_data


def test_every_published_collection_has_a_shape_and_no_shape_has_a_member_that_is_not_published():
    catalogue = Catalogue(school_data.PUBLISHED)
    assert set(SHAPES) == set(catalogue.collections)
    for collection, shape in SHAPES.items():
        published = catalogue.granted(collection, catalogue.scopes)
        assert shape.required, collection
        assert published >= shape.required | shape.types.keys() | shape.references.keys(), collection
        assert set(SHAPES) >= set(shape.references.values())
