//! Whose keys sign a request to AWS, and for what (Signature Version 4).

use model::Secret;

/// How requests are signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsSigning {
    /// The service's name in signatures: `sns`.
    pub service: String,
    /// `eu-west-1`.
    pub region: String,
    /// With whose keys.
    pub keys: AwsKeys,
    /// The role that the keys are exchanged for, if any.
    pub role: Option<AwsRole>,
    /// Where the Security Token Service gives keys.
    pub sts_url: String,
}

/// Where keys are from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AwsKeys {
    /// They are here.
    Held {
        /// Names the pair.
        access_key: String,
        /// Signs.
        secret_key: Secret<String>,
        /// Goes along, if the pair is a temporary one; else empty.
        session_token: Secret<String>,
    },
    /// The Security Token Service gives them for a token in a file, as for service accounts of Kubernetes.
    WebIdentity {
        /// The role that they stand for.
        role_arn: String,
        /// What the session is called.
        session_name: String,
        /// Holds the token; read each time.
        token_file: String,
    },
    /// An address that the container was given, as on ECS and EKS.
    Container {
        /// The address.
        url: String,
        /// What it wants to see in `Authorization`, unless a file holds it; may be empty.
        token: Secret<String>,
        /// Holds the same; read each time.
        token_file: Option<String>,
    },
    /// The metadata service of the machine, as on EC2: the last that is asked.
    Machine {
        /// Its address; none if it is not to be asked.
        url: Option<String>,
        /// Where keys were looked for before, for people.
        looked: String,
    },
}

/// A role to take on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AwsRole {
    /// `arn:aws:iam::…:role/…`.
    pub arn: String,
    /// What the role's owner wants to see, or empty.
    pub external_id: String,
}
