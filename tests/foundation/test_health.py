from tests.factories import a_client, an_administrator


def test_the_service_says_it_is_alive_and_ready(web):
    assert web.get("/healthz").get_json() == {"status": "ok"}
    assert web.get("/readyz").get_json() == {"status": "ok", "database": "ok"}


def test_the_factories_make_people_and_clients(work):
    with work():
        assert an_administrator().may_authorise
        assert a_client().scopes
