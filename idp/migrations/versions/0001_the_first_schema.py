"""The first schema: the tables of every package, and the guards that keep the audit log append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

GUARDS = {
    "sqlite": (
        """CREATE TRIGGER audit_entries_only_sealed BEFORE UPDATE ON audit_entries
        WHEN OLD.position IS NOT NULL OR OLD.chained IS NOT NULL OR NEW.position IS NULL OR NEW.chained IS NULL
          OR NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.event IS NOT OLD.event OR NEW.actor IS NOT OLD.actor
          OR NEW.estab IS NOT OLD.estab OR NEW.client IS NOT OLD.client OR NEW.subject IS NOT OLD.subject
          OR NEW.facts IS NOT OLD.facts OR NEW.details_digest IS NOT OLD.details_digest
        BEGIN SELECT RAISE(ABORT, 'an audit entry is never edited'); END""",
        """CREATE TRIGGER audit_entries_kept BEFORE DELETE ON audit_entries
        BEGIN SELECT RAISE(ABORT, 'an audit entry is never deleted'); END""",
        """CREATE TRIGGER audit_checkpoints_fixed BEFORE UPDATE ON audit_checkpoints
        BEGIN SELECT RAISE(ABORT, 'an audit checkpoint is never edited'); END""",
        """CREATE TRIGGER audit_checkpoints_kept BEFORE DELETE ON audit_checkpoints
        BEGIN SELECT RAISE(ABORT, 'an audit checkpoint is never deleted'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the audit log is never edited and never deleted from'; END $$""",
        """CREATE TRIGGER audit_entries_only_sealed BEFORE UPDATE ON audit_entries FOR EACH ROW
        WHEN (OLD.position IS NOT NULL OR OLD.chained IS NOT NULL OR NEW.position IS NULL OR NEW.chained IS NULL
          OR ROW(NEW.id, NEW.at, NEW.event, NEW.actor, NEW.estab, NEW.client, NEW.subject, NEW.facts::text,
                 NEW.details_digest)
             IS DISTINCT FROM
             ROW(OLD.id, OLD.at, OLD.event, OLD.actor, OLD.estab, OLD.client, OLD.subject, OLD.facts::text,
                 OLD.details_digest))
        EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_entries_kept BEFORE DELETE OR TRUNCATE ON audit_entries
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_checkpoints_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    ),
}


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("estab", sa.Text(), nullable=True),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("details_digest", sa.LargeBinary(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("chained", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("position", name=op.f("uq_audit_entries_position")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entries_at", "audit_entries", ["at"], unique=False)
    op.create_index("ix_audit_entries_estab_at", "audit_entries", ["estab", "at"], unique=False)
    op.create_table(
        "browser_sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amr", sa.Text(), nullable=False),
        sa.Column("acr", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why_ended", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_browser_sessions")),
        sa.UniqueConstraint("sid", name=op.f("uq_browser_sessions_sid")),
    )
    op.create_index(op.f("ix_browser_sessions_expires_at"), "browser_sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_browser_sessions_person_id"), "browser_sessions", ["person_id"], unique=False)
    op.create_table(
        "guesses",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_guesses")),
    )
    op.create_index(op.f("ix_guesses_expires_at"), "guesses", ["expires_at"], unique=False)
    op.create_table(
        "heartbeats",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_heartbeats")),
    )
    op.create_index(op.f("ix_heartbeats_beat_at"), "heartbeats", ["beat_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_jobs")),
    )
    op.create_table(
        "known_devices",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_known_devices")),
    )
    op.create_index(op.f("ix_known_devices_expires_at"), "known_devices", ["expires_at"], unique=False)
    op.create_index(op.f("ix_known_devices_person_id"), "known_devices", ["person_id"], unique=False)
    op.create_table(
        "operators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_folded", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("totp_sealed", sa.Text(), nullable=True),
        sa.Column("totp_step", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operators")),
        sa.UniqueConstraint("email_folded", name=op.f("uq_operators_email_folded")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("estab", sa.Text(), nullable=True),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["kind", "due_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
        sqlite_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
    )
    op.create_index("ix_outbox_failed", "outbox", ["failed_at"], unique=False)
    op.create_index("ix_outbox_sent", "outbox", ["sent_at"], unique=False)
    op.create_table(
        "partners",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("website", sa.Text(), nullable=False),
        sa.Column("contact_email", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partners")),
        sa.UniqueConstraint("name", name=op.f("uq_partners_name")),
    )
    op.create_table(
        "personal_secrets",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_personal_secrets")),
    )
    op.create_index(op.f("ix_personal_secrets_expires_at"), "personal_secrets", ["expires_at"], unique=False)
    op.create_index(op.f("ix_personal_secrets_person_id"), "personal_secrets", ["person_id"], unique=False)
    op.create_table(
        "register_imports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("dated", sa.Date(), nullable=True),
        sa.Column("newest_change_on", sa.Date(), nullable=True),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Integer(), nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_imports")),
    )
    op.create_table(
        "revoked",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_revoked")),
    )
    op.create_index(op.f("ix_revoked_expires_at"), "revoked", ["expires_at"], unique=False)
    op.create_table(
        "school_links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("from_urn", sa.Text(), nullable=False),
        sa.Column("to_urn", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("is_succession", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_links")),
        sa.UniqueConstraint("from_urn", "to_urn", "kind", name=op.f("uq_school_links_from_urn_to_urn_kind")),
    )
    op.create_table(
        "school_words",
        sa.Column("word_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("word_id", "school_id", name=op.f("pk_school_words")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_school_words_school_id", "school_words", ["school_id"], unique=False)
    op.create_table(
        "search_words",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("word", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("schools", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_words")),
        sa.UniqueConstraint("word", name=op.f("uq_search_words_word")),
    )
    op.create_table(
        "seen",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_seen")),
    )
    op.create_index(op.f("ix_seen_expires_at"), "seen", ["expires_at"], unique=False)
    op.create_table(
        "session_clients",
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sid", "client_id", name=op.f("pk_session_clients")),
    )
    op.create_index(op.f("ix_session_clients_session"), "session_clients", ["session"], unique=False)
    op.create_index(op.f("ix_session_clients_since"), "session_clients", ["since"], unique=False)
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("alg", sa.Text(), nullable=False),
        sa.Column("public_jwk", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signs_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verifies_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signing_keys")),
    )
    op.create_table(
        "word_trigrams",
        sa.Column("trigram", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("word_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("trigram", "word_id", name=op.f("pk_word_trigrams")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_word_trigrams_word_id", "word_trigrams", ["word_id"], unique=False)
    op.create_table(
        "audit_checkpoints",
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("chained", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_details",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["audit_entries.id"], name=op.f("fk_audit_details_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_details")),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("client_name", sa.Text(), nullable=False),
        sa.Column("client_uri", sa.Text(), nullable=False),
        sa.Column("logo_uri", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("policy_uri", sa.Text(), nullable=False),
        sa.Column("agreement_uri", sa.Text(), nullable=False),
        sa.Column("agreement_version", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("post_logout_redirect_uris", sa.JSON(), nullable=False),
        sa.Column("initiate_login_uri", sa.Text(), nullable=True),
        sa.Column("backchannel_logout_uri", sa.Text(), nullable=True),
        sa.Column("backchannel_logout_session_required", sa.Boolean(), nullable=False),
        sa.Column("grant_types", sa.Text(), nullable=False),
        sa.Column("token_endpoint_auth_method", sa.Text(), nullable=False),
        sa.Column("token_endpoint_auth_signing_alg", sa.Text(), nullable=True),
        sa.Column("required_scopes", sa.Text(), nullable=False),
        sa.Column("optional_scopes", sa.Text(), nullable=False),
        sa.Column("client_scopes", sa.Text(), nullable=False),
        sa.Column("accepted_mis", sa.Text(), nullable=False),
        sa.Column("authorisation_days", sa.Integer(), nullable=True),
        sa.Column("require_pkce", sa.Boolean(), nullable=False),
        sa.Column("dpop_bound_access_tokens", sa.Boolean(), nullable=False),
        sa.Column("rotate_refresh_tokens", sa.Boolean(), nullable=False),
        sa.Column("id_token_signed_response_alg", sa.Text(), nullable=False),
        sa.Column("userinfo_signed_response_alg", sa.Text(), nullable=True),
        sa.Column("subject_type", sa.Text(), nullable=False),
        sa.Column("sector_identifier", sa.Text(), nullable=True),
        sa.Column("sector_identifier_uri", sa.Text(), nullable=True),
        sa.Column("jwks", sa.JSON(), nullable=True),
        sa.Column("jwks_uri", sa.Text(), nullable=True),
        sa.Column("contacts", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_clients_partner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
    )
    op.create_index(op.f("ix_clients_partner_id"), "clients", ["partner_id"], unique=False)
    op.create_table(
        "initial_access_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("partner_id", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("required_scopes", sa.Text(), nullable=False),
        sa.Column("optional_scopes", sa.Text(), nullable=False),
        sa.Column("client_scopes", sa.Text(), nullable=False),
        sa.Column("require_pkce", sa.Boolean(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_initial_access_tokens_partner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_initial_access_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_initial_access_tokens_digest")),
    )
    op.create_index(op.f("ix_initial_access_tokens_partner_id"), "initial_access_tokens", ["partner_id"], unique=False)
    op.create_table(
        "schools",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("register", sa.Text(), nullable=False),
        sa.Column("register_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("la_code", sa.Text(), nullable=False),
        sa.Column("la_name", sa.Text(), nullable=False),
        sa.Column("establishment_number", sa.Text(), nullable=False),
        sa.Column("dfe_number", sa.Text(), nullable=True),
        sa.Column("former_dfe_number", sa.Text(), nullable=True),
        sa.Column("ukprn", sa.Text(), nullable=True),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("type_name", sa.Text(), nullable=False),
        sa.Column("group_code", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("status_code", sa.Text(), nullable=False),
        sa.Column("status_name", sa.Text(), nullable=False),
        sa.Column("standing", sa.Integer(), nullable=False),
        sa.Column("phase_code", sa.Text(), nullable=False),
        sa.Column("phase_name", sa.Text(), nullable=False),
        sa.Column("low_age", sa.Integer(), nullable=True),
        sa.Column("high_age", sa.Integer(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("street", sa.Text(), nullable=False),
        sa.Column("locality", sa.Text(), nullable=False),
        sa.Column("address3", sa.Text(), nullable=False),
        sa.Column("town", sa.Text(), nullable=False),
        sa.Column("county", sa.Text(), nullable=False),
        sa.Column("postcode", sa.Text(), nullable=False),
        sa.Column("postcode_key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("website", sa.Text(), nullable=False),
        sa.Column("website_host", sa.Text(), nullable=False),
        sa.Column("telephone", sa.Text(), nullable=False),
        sa.Column("telephone_e164", sa.Text(), nullable=False),
        sa.Column("trust_code", sa.Text(), nullable=False),
        sa.Column("trust_name", sa.Text(), nullable=False),
        sa.Column("head_teacher", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("last_changed_on", sa.Date(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_in", sa.Integer(), nullable=False),
        sa.Column("last_seen_in", sa.Integer(), nullable=False),
        sa.Column("left_register_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["first_seen_in"], ["register_imports.id"], name=op.f("fk_schools_first_seen_in")),
        sa.ForeignKeyConstraint(["last_seen_in"], ["register_imports.id"], name=op.f("fk_schools_last_seen_in")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schools")),
        sa.UniqueConstraint("register", "register_id", name=op.f("uq_schools_register_register_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_schools_dfe_number"), "schools", ["dfe_number"], unique=False)
    op.create_index(
        "ix_schools_former_dfe_number",
        "schools",
        ["former_dfe_number"],
        unique=False,
        sqlite_where=sa.text("former_dfe_number IS NOT NULL"),
        postgresql_where=sa.text("former_dfe_number IS NOT NULL"),
    )
    op.create_index("ix_schools_in_order", "schools", ["standing", "name_key", "id"], unique=False)
    op.create_index(op.f("ix_schools_postcode_key"), "schools", ["postcode_key"], unique=False)
    op.create_index(op.f("ix_schools_ukprn"), "schools", ["ukprn"], unique=False)
    op.create_table(
        "authorization_requests",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("pushed", sa.Boolean(), nullable=False),
        sa.Column("browser", sa.LargeBinary(), nullable=True),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dpop_jkt", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_authorization_requests_client_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_authorization_requests")),
    )
    op.create_index(
        op.f("ix_authorization_requests_expires_at"), "authorization_requests", ["expires_at"], unique=False
    )
    op.create_table(
        "client_events",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("parameter", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("comparison", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_client_events_client_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_client_events")),
    )
    op.create_index(op.f("ix_client_events_last_at"), "client_events", ["last_at"], unique=False)
    op.create_index("ix_client_events_newest", "client_events", ["client_id", "last_at"], unique=False)
    op.create_table(
        "client_secrets",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_client_secrets_client_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_client_secrets")),
    )
    op.create_index(op.f("ix_client_secrets_client_id"), "client_secrets", ["client_id"], unique=False)
    op.create_table(
        "codes",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("authorisation_id", sa.Text(), nullable=False),
        sa.Column("lineage", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("code_challenge", sa.Text(), nullable=True),
        sa.Column("dpop_jkt", sa.Text(), nullable=True),
        sa.Column("claims", sa.JSON(), nullable=True),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acr", sa.Text(), nullable=False),
        sa.Column("amr", sa.Text(), nullable=False),
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_codes_client_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_codes")),
    )
    op.create_index(op.f("ix_codes_expires_at"), "codes", ["expires_at"], unique=False)
    op.create_table(
        "device_codes",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("interval", sa.Integer(), nullable=False),
        sa.Column("poll_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("browser", sa.LargeBinary(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved", sa.Boolean(), nullable=True),
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("estab_id", sa.Text(), nullable=True),
        sa.Column("authorisation_id", sa.Text(), nullable=True),
        sa.Column("lineage", sa.Text(), nullable=True),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acr", sa.Text(), nullable=True),
        sa.Column("amr", sa.Text(), nullable=True),
        sa.Column("sid", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_device_codes_client_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_device_codes")),
        sa.UniqueConstraint("user_digest", name=op.f("uq_device_codes_user_digest")),
    )
    op.create_index(op.f("ix_device_codes_expires_at"), "device_codes", ["expires_at"], unique=False)
    op.create_table(
        "estabs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mis", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_estabs_school_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_estabs")),
        sa.UniqueConstraint("estab_id", name=op.f("uq_estabs_estab_id")),
    )
    op.create_index(op.f("ix_estabs_school_id"), "estabs", ["school_id"], unique=False)
    op.create_index(
        "uq_estabs_live_school",
        "estabs",
        ["school_id"],
        unique=True,
        postgresql_where=sa.text("state NOT IN ('rejected', 'closed')"),
        sqlite_where=sa.text("state NOT IN ('rejected', 'closed')"),
    )
    op.create_table(
        "refresh_families",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("rotates", sa.Boolean(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("authorisation_id", sa.Text(), nullable=False),
        sa.Column("lineage", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("dpop_jkt", sa.Text(), nullable=True),
        sa.Column("claims", sa.JSON(), nullable=True),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acr", sa.Text(), nullable=False),
        sa.Column("amr", sa.Text(), nullable=False),
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_refresh_families_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh_families")),
        sa.UniqueConstraint("digest", name=op.f("uq_refresh_families_digest")),
    )
    op.create_index(
        op.f("ix_refresh_families_authorisation_id"), "refresh_families", ["authorisation_id"], unique=False
    )
    op.create_index(op.f("ix_refresh_families_expires_at"), "refresh_families", ["expires_at"], unique=False)
    op.create_index(op.f("ix_refresh_families_lineage"), "refresh_families", ["lineage"], unique=False)
    op.create_index(op.f("ix_refresh_families_person_id"), "refresh_families", ["person_id"], unique=False)
    op.create_index(op.f("ix_refresh_families_revoked_at"), "refresh_families", ["revoked_at"], unique=False)
    op.create_table(
        "registration_tokens",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("initial_token_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_registration_tokens_client_id")),
        sa.ForeignKeyConstraint(
            ["initial_token_id"], ["initial_access_tokens.id"], name=op.f("fk_registration_tokens_initial_token_id")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_registration_tokens")),
        sa.UniqueConstraint("client_id", name=op.f("uq_registration_tokens_client_id")),
    )
    op.create_index(
        op.f("ix_registration_tokens_initial_token_id"), "registration_tokens", ["initial_token_id"], unique=False
    )
    op.create_table(
        "school_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["register_imports.id"], name=op.f("fk_school_changes_import_id")),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_school_changes_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_changes")),
    )
    op.create_index(op.f("ix_school_changes_import_id"), "school_changes", ["import_id"], unique=False)
    op.create_index(op.f("ix_school_changes_school_id"), "school_changes", ["school_id"], unique=False)
    op.create_table(
        "administrators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_folded", sa.Text(), nullable=False),
        sa.Column("sign_in_email", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("mobile_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_administrators_estab_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_administrators")),
        sa.UniqueConstraint("sign_in_email", name=op.f("uq_administrators_sign_in_email")),
        sa.UniqueConstraint("username", name=op.f("uq_administrators_username")),
    )
    op.create_index("ix_administrators_address", "administrators", ["email_folded"], unique=False)
    op.create_index(op.f("ix_administrators_estab_id"), "administrators", ["estab_id"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_reviews_estab_id")),
        sa.PrimaryKeyConstraint("estab_id", name=op.f("pk_reviews")),
    )
    op.create_index(op.f("ix_reviews_due_at"), "reviews", ["due_at"], unique=False)
    op.create_table(
        "sharing_decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("authorisation_id", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_sharing_decisions_client_id")),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_sharing_decisions_estab_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sharing_decisions")),
    )
    op.create_index("ix_sharing_decisions_estab", "sharing_decisions", ["estab_id", "at"], unique=False)
    op.create_table(
        "authorisations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("offered", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_authorisations_client_id")),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_authorisations_estab_id")),
        sa.ForeignKeyConstraint(["given_by"], ["administrators.id"], name=op.f("fk_authorisations_given_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authorisations")),
    )
    op.create_index("ix_authorisations_client", "authorisations", ["client_id", "estab_id"], unique=False)
    op.create_index("ix_authorisations_line", "authorisations", ["line"], unique=False)
    op.create_index("ix_authorisations_until", "authorisations", ["until"], unique=False)
    op.create_index(
        "uq_authorisations_current",
        "authorisations",
        ["estab_id", "client_id"],
        unique=True,
        postgresql_where=sa.text("withdrawn_at IS NULL AND superseded_at IS NULL"),
        sqlite_where=sa.text("withdrawn_at IS NULL AND superseded_at IS NULL"),
    )
    op.create_table(
        "registrations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("browser", sa.LargeBinary(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proved_in", sa.LargeBinary(), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_in", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("administrator_id", sa.Text(), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["administrator_id"], ["administrators.id"], name=op.f("fk_registrations_administrator_id")
        ),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_registrations_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registrations")),
    )
    op.create_index(op.f("ix_registrations_administrator_id"), "registrations", ["administrator_id"], unique=False)
    op.create_index("ix_registrations_browser", "registrations", ["browser", "school_id"], unique=False)
    op.create_index(op.f("ix_registrations_expires_at"), "registrations", ["expires_at"], unique=False)
    op.create_table(
        "review_notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["estab_id"], ["reviews.estab_id"], name=op.f("fk_review_notes_estab_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_notes")),
    )
    op.create_index(op.f("ix_review_notes_estab_id"), "review_notes", ["estab_id"], unique=False)
    op.create_table(
        "email_proofs",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("registration_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_folded", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registrations.id"], name=op.f("fk_email_proofs_registration_id")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_email_proofs")),
    )
    op.create_index(op.f("ix_email_proofs_email_folded"), "email_proofs", ["email_folded"], unique=False)
    op.create_index(op.f("ix_email_proofs_expires_at"), "email_proofs", ["expires_at"], unique=False)
    op.create_index(op.f("ix_email_proofs_registration_id"), "email_proofs", ["registration_id"], unique=False)
    op.create_table(
        "join_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("estab_id", sa.Text(), nullable=False),
        sa.Column("registration_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_folded", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["estab_id"], ["estabs.id"], name=op.f("fk_join_requests_estab_id")),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registrations.id"], name=op.f("fk_join_requests_registration_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_join_requests")),
        sa.UniqueConstraint("registration_id", name=op.f("uq_join_requests_registration_id")),
    )
    op.create_index(op.f("ix_join_requests_estab_id"), "join_requests", ["estab_id"], unique=False)
    op.create_index(op.f("ix_join_requests_expires_at"), "join_requests", ["expires_at"], unique=False)
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)
