"""The names of events: one constant each, `<thing>.<what happened to it>`, in a section for each package.

A name is never reused for another event, because entries are kept for years.
"""

# ruff: noqa: S105  names of events, some of which are about passwords

from typing import Final

# the database
DATABASE_BACKED_UP: Final = "database.backed_up"
DATABASE_RESTORED: Final = "database.restored"

# keys
KEY_CREATED: Final = "key.created"
KEY_ROTATED: Final = "key.rotated"
KEY_RETIRED: Final = "key.retired"

# schools
REGISTER_IMPORTED: Final = "register.imported"

# estabs
ESTAB_REGISTERED: Final = "estab.registered"
ESTAB_STATE_CHANGED: Final = "estab.state_changed"
PERSONAL_DATA_ERASED: Final = "estab.reduced"
PERSON_ADDED: Final = "person.added"
ROLE_CHANGED: Final = "person.role_changed"
OWNERSHIP_HANDED_OVER: Final = "person.ownership_handed_over"
PERSON_REMOVED: Final = "person.removed"
INVITATION_SENT: Final = "invitation.sent"
INVITATION_RESENT: Final = "invitation.resent"
INVITATION_CANCELLED: Final = "invitation.cancelled"
INVITATION_ACCEPTED: Final = "invitation.accepted"
NAME_CHANGED: Final = "person.name_changed"
PASSWORD_SET: Final = "password.set"

# partners
PARTNER_ADDED: Final = "partner.added"
CLIENT_REGISTERED: Final = "client.registered"
CLIENT_CHANGED: Final = "client.changed"
CLIENT_SECRET_ROTATED: Final = "client.secret_rotated"
CLIENT_DISABLED: Final = "client.disabled"
CLIENT_ENABLED: Final = "client.enabled"
CLIENT_EVENTS_REPLAYED: Final = "client.events_replayed"
PARTNER_DISABLED: Final = "partner.disabled"
PARTNER_ENABLED: Final = "partner.enabled"
CLIENT_DELETED: Final = "client.deleted"
INITIAL_TOKEN_ISSUED: Final = "initial_token.issued"
INITIAL_TOKEN_REVOKED: Final = "initial_token.revoked"

# onboarding
REGISTRATION_BEGUN: Final = "registration.begun"
REGISTRATION_ADDRESS_CHANGED: Final = "registration.address_changed"
REGISTRATION_DISOWNED: Final = "registration.disowned"
REGISTRATION_HANDED_OVER: Final = "registration.handed_over"
REGISTRATION_COMPLETED: Final = "registration.completed"
EMAIL_VERIFIED: Final = "email.verified"
CREDENTIALS_REPLACED: Final = "credentials.replaced"
JOIN_REQUESTED: Final = "join.requested"
JOIN_APPROVED: Final = "join.approved"
JOIN_DECLINED: Final = "join.declined"
ESTAB_VERIFIED: Final = "estab.verified"
ESTAB_REJECTED: Final = "estab.rejected"
REVIEW_NOTED: Final = "review.noted"
REVIEW_ASKED: Final = "review.asked"

# signin
SIGNED_IN: Final = "sign_in.succeeded"
SCHOOL_CHOSEN: Final = "sign_in.school_chosen"
SIGN_IN_FAILED: Final = "sign_in.failed"
ACCOUNT_LOCKED: Final = "sign_in.locked"
SPRAYING_SEEN: Final = "sign_in.spraying"
PASSKEY_COPIED: Final = "passkey.copied"
SIGNED_OUT: Final = "sign_in.ended"
DEVICES_FORGOTTEN: Final = "sign_in.browsers_forgotten"
SESSIONS_ENDED: Final = "sessions.ended"
OPERATOR_ADDED: Final = "operator.added"
OPERATOR_SET_UP: Final = "operator.set_up"
OPERATOR_DISABLED: Final = "operator.disabled"
DEVELOPER_INVITED: Final = "developer.invited"
DEVELOPER_SET_UP: Final = "developer.set_up"
DEVELOPER_REMOVED: Final = "developer.removed"
REGISTRATION_REQUESTED: Final = "registration.requested"
REGISTRATION_APPROVED: Final = "registration.approved"
REGISTRATION_DECLINED: Final = "registration.declined"
REGISTRATION_WITHDRAWN: Final = "registration.withdrawn"
TRIAL_SECRET_MADE: Final = "client.trial_secret_made"
TRIAL_KEY_MADE: Final = "client.trial_key_made"
FICTIONAL_SCHOOL_MADE: Final = "fictional_school.made"
MOBILE_CONFIRMED: Final = "mobile.confirmed"
MOBILE_CHANGED: Final = "mobile.changed"
EMAIL_CHANGE_STARTED: Final = "email.change_started"
EMAIL_CHANGED: Final = "email.changed"
CHANGES_UNDONE: Final = "changes.undone"
RESET_STARTED: Final = "password_reset.started"
RESET_COMPLETED: Final = "password_reset.completed"
RESET_LINK_SENT: Final = "password_reset.link_sent"
FACTOR_RECOVERY_STARTED: Final = "factor_recovery.started"
FACTOR_RECOVERY_STOPPED: Final = "factor_recovery.stopped"
FACTORS_RECOVERED: Final = "factor_recovery.completed"
ACCOUNT_UNLOCKED: Final = "sign_in.unlocked"
FACTOR_ADDED: Final = "factor.added"
FACTOR_REPLACED: Final = "factor.replaced"
FACTOR_REMOVED: Final = "factor.removed"
RECOVERY_CODES_MADE: Final = "recovery_codes.made"
RECOVERY_CODE_USED: Final = "recovery_code.used"
SECOND_STEP_REQUIRED: Final = "estab.second_step_required"
SECOND_STEP_OPTIONAL: Final = "estab.second_step_optional"

# federation
ACCOUNT_LINKED: Final = "linked_account.added"
ACCOUNT_USED: Final = "linked_account.used"
ACCOUNT_UNLINKED: Final = "linked_account.removed"

# sharing
SHARING_GIVEN: Final = "sharing.given"
SHARING_CHANGED: Final = "sharing.changed"
SHARING_RENEWED: Final = "sharing.renewed"
SHARING_REVIEW_DECLINED: Final = "sharing.review_declined"
SHARING_REFUSED: Final = "sharing.refused"
SHARING_HANDED_OVER: Final = "sharing.handed_over"
SHARING_PAUSED: Final = "sharing.paused"
SHARING_RESUMED: Final = "sharing.resumed"
SHARING_WITHDRAWN: Final = "sharing.withdrawn"
SHARING_MOVED: Final = "sharing.moved"
SHARING_RELEASED: Final = "sharing.released"
SHARING_RELEASE_TAKEN_BACK: Final = "sharing.release_taken_back"
ESTAB_MIS_TOLD: Final = "estab.mis_told"

# invitations
SCHOOL_INVITED: Final = "school_invitation.sent"
SCHOOL_INVITED_AGAIN: Final = "school_invitation.resent"
SCHOOL_INVITATION_CANCELLED: Final = "school_invitation.cancelled"
SCHOOL_INVITATION_OPENED: Final = "school_invitation.opened"
SCHOOL_INVITATION_FORWARDED: Final = "school_invitation.forwarded"
SCHOOL_INVITATION_DECLINED: Final = "school_invitation.declined"

# xporter
ENDPOINT_REGISTERED: Final = "endpoint.registered"
ENDPOINT_REPLACED: Final = "endpoint.replaced"
ENDPOINT_REMOVED: Final = "endpoint.removed"
EXTRACT_REQUESTED: Final = "endpoint.extract_requested"

# oidc
CODE_REPLAYED: Final = "code.replayed"
REFRESH_REUSED: Final = "refresh_token.reused"
TOKEN_REVOKED: Final = "token.revoked"
CLIENT_REFUSED: Final = "client.refused"
DEVICE_APPROVED: Final = "device.approved"
DEVICE_DENIED: Final = "device.denied"
