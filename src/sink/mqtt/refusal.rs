//! Why a broker will not have us, in words that name the setting to look at. The same for both protocol versions.

/// Only what somebody has to mend; a broker that is merely busy is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the broker refused user name or password: look at `username` and `password_file`")]
    Credentials,
    #[error(
        "the broker refused the connection as not authorised: look at `username` and `password_file`, and at the \
         broker's list of users"
    )]
    NotAuthorised,
    #[error("the broker refused the client id: look at `client_id`")]
    ClientId,
    #[error("the broker has banned this client: ask whoever runs it")]
    Banned,
    #[error("the broker does not speak this version of MQTT: look at `version`")]
    Version,
}
