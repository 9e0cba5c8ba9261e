//! The error codes of the service, its gateway and the login service: what each means for a
//! request, and what to do.
//!
//! Sources: OTC api-ref, "Error Code"; Huawei Cloud api-ref, "Error Codes";
//! OTC API Gateway manual, "Error Codes"; OTC IAM api-ref, "Status Codes".
//! No page says which codes this one call returns, so all are listed.

use crate::core::outcome::RefusalKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Too many requests: the same request may be sent again later.
    Throttled,
    /// Another operation runs on a job: the same request may be sent again later.
    Busy,
    Entry,
    /// The user or password is wrong; repeating it locks accounts.
    WrongPassword,
    JobState,
    /// The caller is unknown or its login has expired.
    Login,
    /// The caller is known and lacks the permission.
    Permission,
    Request,
    /// The request did not reach the service.
    Route,
    /// The service failed; it may have acted.
    Internal,
}

impl Class {
    pub const fn kind(self) -> RefusalKind {
        match self {
            Self::Throttled | Self::Busy => RefusalKind::Busy,
            Self::WrongPassword => RefusalKind::WrongPassword,
            Self::JobState => RefusalKind::JobState,
            Self::Entry
            | Self::Login
            | Self::Permission
            | Self::Request
            | Self::Route
            | Self::Internal => RefusalKind::Rejected,
        }
    }
}

/// Returns the code as today's pages write it: older ones write `DRS-M00201`.
pub fn normalize(code: &str) -> String {
    match code.strip_prefix("DRS-") {
        Some(rest) => format!("DRS.{rest}"),
        None => code.to_owned(),
    }
}

/// Returns the meaning of a known code, and what to do, unless the service's own words say all
/// there is. Gateway codes are compared by number: one gateway says `APIG.0301` and another
/// `APIGW.0301`.
pub fn look_up(code: &str) -> Option<(Class, Option<&'static str>)> {
    let code = normalize(code).replace("APIGW.", "APIG.");
    let mut rows = NAMED.iter();
    let row = rows.find(|(codes, ..)| codes.split(' ').any(|listed| listed == code));
    if let Some(&(_, class, advice)) = row {
        return Some((class, Some(advice)));
    }
    let number = code.strip_prefix("DRS.M")?;
    let is_shown = SHOWN_AS_IS.contains(&number);
    is_shown.then_some((Class::Entry, None))
}

/// Codes of a job that does not exist (any longer).
pub const MISSING: [&str; 4] = ["DRS.M00289", "DRS.M05003", "DRS.M05004", "DRS.10000010"];

pub const OTHER_PROJECT: &str = "DRS.M00261";

/// About the number of jobs in the request, not about any one of them.
pub const ONE_JOB_ONLY: &str = "DRS.M00299";

/// Returns the class of a code with a status: a refused caller is refused, whatever else is
/// said, since repeating a refused login locks keys and accounts.
pub fn with_status(class: Class, status: u16) -> Class {
    match class {
        Class::Login | Class::Permission => class,
        _ if status == 401 => Class::Login,
        _ => class,
    }
}

/// Returns the class of an answer without a known code. An unknown 400 is about the entries and
/// never repeated. Too long an address or header is the same in every part of a request, so
/// these do not reach the service either.
pub const fn by_status(status: u16) -> Class {
    match status {
        401 => Class::Login,
        403 => Class::Permission,
        429 => Class::Throttled,
        408 | 500..=599 => Class::Internal,
        300..=399 | 404 | 405 | 407 | 414 | 415 | 421 | 431 | 494 => Class::Route,
        _ => Class::Request,
    }
}

/// What to do if a login's password is right and not enough.
pub const SECOND_FACTOR: &str = "The user needs a second factor: give its id and a code, as OS_USER_ID and OS_PASSCODE, or as user_id and passcode of the entry of clouds.yaml.";

/// The codes, separated by blanks, their meaning, and what to do.
const NAMED: &[(&str, Class, &str)] = &[
    (
        "DRS.M00304",
        Class::JobState,
        "Wait until the state of the job allows a password change, or resume it, then apply again.",
    ),
    (
        "DRS.M01504",
        Class::Busy,
        "Another operation runs on the job, or the job is abnormal: apply again later, or look at the job in the console.",
    ),
    (
        "DRS.M01503 IAM.0012 APIG.0308",
        Class::Throttled,
        "Apply again later, or lower `apply.parallelism`.",
    ),
    (
        "DRS.M00307",
        Class::JobState,
        "Only subtasks accept a password: list the ids of the job's subtasks instead.",
    ),
    (
        "DRS.M00308",
        Class::JobState,
        "Only the parent job accepts this call: list the id of the parent instead.",
    ),
    (
        "DRS.M05003 DRS.M00289 DRS.10000010",
        Class::Entry,
        "Check the job's id, the project and the region.",
    ),
    (
        "DRS.M05004",
        Class::Entry,
        "The job is deleted: remove the entry from the manifest.",
    ),
    (
        "DRS.KE0002",
        Class::WrongPassword,
        "Correct the password in the manifest; the same password is not sent again without `--resend`.",
    ),
    (
        "DRS.M00301",
        Class::Request,
        "The request had an entry twice, which is a bug in drspass: please report it.",
    ),
    (
        "DRS.M00007 DRS.M00200 DRS.M00201 DRS.M00202 DRS.M00273 DRS.M00300 DRS.M00305",
        Class::Request,
        "Read the service's message, which names the parameter it does not accept.",
    ),
    (
        ONE_JOB_ONLY,
        Class::Request,
        "The service accepts one job per request here: set `apply.batch_size` to 1.",
    ),
    (
        "DRS.M00210 DRS.M00211",
        Class::Request,
        "The requested page does not exist, which is a bug in drspass: please report it.",
    ),
    (
        "DRS.M00105",
        Class::Permission,
        "The account is restricted: check its state and its bills.",
    ),
    // The page counts it to the failed logins, but a new token of the same scope
    // would be refused as well.
    (
        OTHER_PROJECT,
        Class::Permission,
        "The login is for another project than the one in the configuration.",
    ),
    (
        "DRS.M00102 DRS.M00103",
        Class::Permission,
        "The permission to change jobs is missing: ask for the role DRS FullAccess or DRS Administrator in this project.",
    ),
    (
        "DRS.M00101",
        Class::Permission,
        "The user has no role in this project: ask for DRS FullAccess or DRS Administrator.",
    ),
    (
        "DRS.M00002",
        Class::Entry,
        "The service found nothing: check the job's id.",
    ),
    (
        "DRS.M00004 DRS.M01501",
        Class::Internal,
        "The service failed: apply again later, and contact its support if this persists.",
    ),
    // It says no more than that it failed, so whether anything was changed is left
    // to the status: a 400 changed nothing.
    (
        "DRS.10000001",
        Class::Entry,
        "The service does not say why it failed: apply again later, and contact its support if this persists.",
    ),
    (
        "DRS.M05006 DRS.M06007 DRS.M06011",
        Class::Entry,
        "Check the database instance of the job and the role RDS ReadOnlyAccess.",
    ),
    (
        "DRS.10010069",
        Class::Entry,
        "The connection does not exist: check the job in the console.",
    ),
    (
        "DRS.M00100 IAM.0001 IAM.0066 IAM.0067",
        Class::Login,
        "The token is not valid or has expired: get a new one.",
    ),
    (
        "IAM.0061",
        Class::Login,
        "The account is locked after failed logins: wait, and check the login before the next try.",
    ),
    (
        "IAM.0062",
        Class::Login,
        "The user name or password of the login is wrong: correct it before the next try, since failed logins lock the account.",
    ),
    (
        "IAM.0002 IAM.0003 IAM.0080 IAM.0081 IAM.0082 IAM.0083 IAM.0084 IAM.0085 IAM.0086 IAM.0087 IAM.0088 IAM.0089",
        Class::Permission,
        "The user or key is disabled or not allowed: check it, the region and the address of the login service.",
    ),
    (
        "IAM.0011 IAM.0072 IAM.0073",
        Class::Route,
        "The login service rejected the request: check its address.",
    ),
    // Number 0201 is absent: it covers everything from a request too large to a backend that is
    // down, so the status decides.
    (
        "APIG.0101 APIG.0102 APIG.0103 APIG.0106",
        Class::Route,
        "The call does not exist at this address: check the region and the endpoint.",
    ),
    (
        "APIG.0202 APIG.0203 APIG.0601 APIG.0613",
        Class::Internal,
        "The gateway or what is behind it failed: apply again later.",
    ),
    (
        "APIG.0301",
        Class::Login,
        "The login was not accepted: renew the token, or check the access key, its secret and the clock.",
    ),
    (
        "APIG.0307",
        Class::Login,
        "The token must be renewed: get a new one.",
    ),
    (
        "APIG.0302 APIG.0306 APIG.0310 APIG.0802",
        Class::Permission,
        "The login is not allowed here: check its permissions, the project and the region.",
    ),
];

/// Codes that begin with `DRS.M`, of calls that drspass does not make, on tags, names, creation and
/// flow control: if one comes back, it is about an entry, and its own words say the most.
const SHOWN_AS_IS: &[&str] = &[
    "00269", "00270", "00271", "00277", "00302", "00303", "00306", "00400", "00401", "00402",
    "00403", "00404", "00405", "00406", "00407", "00408", "00409", "05066", "06020", "06021",
    "06022", "06023", "06024", "06025", "06026", "06027", "06028", "06029", "07000",
];

#[cfg(test)]
mod tests;
