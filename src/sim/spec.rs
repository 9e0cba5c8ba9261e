//! The initial contents of a simulator, as tests and scenario files write them. Types with a
//! secret have no `Debug` form.

use serde::Deserialize;

/// The field `end_point_type`: the source or destination database of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndPointType {
    /// The database that is read; `so` on the wire.
    Source,
    /// The database that is written; `ta` on the wire.
    Destination,
}

impl EndPointType {
    pub fn wire(self) -> &'static str {
        match self {
            Self::Source => "so",
            Self::Destination => "ta",
        }
    }

    pub fn from_wire(text: &str) -> Option<Self> {
        let mut both = [Self::Source, Self::Destination].into_iter();
        both.find(|endpoint| endpoint.wire() == text)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The job id, well-formed or not.
    pub id: String,
    #[serde(default)]
    pub name: String,
    /// One of OTC api-ref, Task Statuses, or any other word; by default a running one.
    #[serde(default = "running")]
    pub status: String,
    #[serde(default)]
    pub source: Option<EndpointSpec>,
    #[serde(default)]
    pub destination: Option<EndpointSpec>,
    #[serde(default)]
    pub parent: Option<String>,
    /// Whether this is the parent of a dual-active pair, whose password cannot be changed (OTC
    /// api-ref, Changing the Passwords…, Constraints).
    #[serde(default)]
    pub dual_active_parent: bool,
    /// Whether the details say so, as they also do for each `dual_active_parent`.
    #[serde(default)]
    pub multi_write: bool,
    /// `migration`, `sync` or `cloudDataGuard`.
    #[serde(default = "sync")]
    pub db_use_type: String,
    /// Such as `mysql` or `mysql-to-taurus`.
    #[serde(default = "mysql")]
    pub engine_type: String,
    /// `vpn`, `vpc` or `eip`.
    #[serde(default = "eip")]
    pub net_type: String,
    /// Called unavailable whatever the state, which changes nothing of the calls.
    #[serde(default)]
    pub unavailable_actions: Vec<String>,
}

impl JobSpec {
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: String::new(),
            status: running(),
            source: None,
            destination: None,
            parent: None,
            dual_active_parent: false,
            multi_write: false,
            db_use_type: sync(),
            engine_type: mysql(),
            net_type: eip(),
            unavailable_actions: Vec::new(),
        }
    }
}

fn running() -> String {
    "INCRE_TRANSFER_STARTED".to_owned()
}

fn sync() -> String {
    "sync".to_owned()
}

fn mysql() -> String {
    "mysql".to_owned()
}

fn eip() -> String {
    "eip".to_owned()
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointSpec {
    /// The password that the database accepts, and DRS's own from the creation of the job. `None`
    /// accepts any password until another is set.
    pub real_password: Option<String>,
    /// `None` is the first word of the job's engine type.
    pub db_type: Option<String>,
    pub ip: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub inst_id: Option<String>,
    /// `db_password` of the job's details, which the schema has (OTC api-ref, Querying Task Details,
    /// Endpoint) and no example shows; `None` omits it.
    pub detail_password: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    pub name: String,
    pub id: String,
    pub password: String,
    /// The account.
    pub domain: String,
    pub domain_id: String,
    /// The code of the second factor; `None` asks for none.
    #[serde(default)]
    pub passcode: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKeySpec {
    pub access: String,
    pub secret: String,
    /// The token of a temporary key, which must be sent and signed with it.
    #[serde(default)]
    pub security_token: Option<String>,
    /// The name of its user.
    #[serde(default)]
    pub user: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    pub id: String,
    /// The name, such as `eu-de` or `eu-de_orders`.
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogSpec {
    /// Without a path; `self` is the simulator's own. `None` omits DRS, as in real life.
    pub drs_endpoint: Option<String>,
    /// The region of each endpoint; `*` is a region too.
    pub region: String,
    /// Whether the address ends in `/v3/{project_id}`, as those of other services do.
    pub project_suffix: bool,
}

impl Default for CatalogSpec {
    fn default() -> Self {
        Self {
            drs_endpoint: None,
            region: "eu-de".to_owned(),
            project_suffix: false,
        }
    }
}
