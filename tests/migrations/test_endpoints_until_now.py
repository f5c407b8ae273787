"""Schools with an endpoint count as changed once, where changes of endpoints were not recorded yet."""

from datetime import timedelta
from importlib import import_module

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from idp.estabs.models import Estab
from idp.foundation import crypto
from idp.xporter.models import Endpoint
from tests.factories import a_client, a_school, an_estab

migration = import_module("idp.migrations.versions.0042_endpoints_until_now")


def test_only_schools_with_an_endpoint_without_recorded_changes_count_as_changed(app, transaction, clock):
    long_ago = clock.now() - timedelta(days=90)
    with transaction() as session:
        client = a_client()
        ids = {name: an_estab(a_school(name=name)).id for name in ("older", "recorded", "none")}
        for name in ("older", "recorded"):
            session.add(
                Endpoint(
                    id=crypto.new_id("end"), estab_id=ids[name], client_id=client.id, key_thumbprint="k", lineage="l",
                    registered_at=long_ago, registered_by="someone", heard_at=long_ago, name="server", mis="sims",
                    agent_version="1.0", platform="Linux",
                )
            )  # fmt: skip
        session.get_one(Estab, ids["recorded"]).endpoint_changed_at = long_ago
    with transaction() as session, Operations.context(MigrationContext.configure(session.connection())):
        migration.upgrade()
    with transaction() as session:
        changed = {name: session.get_one(Estab, estab_id).endpoint_changed_at for name, estab_id in ids.items()}
    assert (changed["recorded"], changed["none"]) == (long_ago, None)
    assert changed["older"] > long_ago + timedelta(days=1)
