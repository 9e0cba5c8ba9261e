//! The JSON of the calls that look at jobs and retry them (OTC api-ref, "Querying
//! Task Statuses in Batches", "Querying Details About Tasks in Batches", "Querying
//! the Task List", "Resuming or Retrying Tasks in Batches").
//!
//! Details may carry the password that is set (the response table lists
//! `db_password`): it is never read, and the buffer is wiped.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::answer::is_excessive;
use super::scalar::Scalar;
use crate::core::inventory::UseType;
use crate::core::job::{Endpoint, JobId};

/// Results on a page; the most that the queries take. Unless told, they give
/// five, or ten in the list.
pub(in crate::api) const PER_PAGE: usize = 100;

/// The service's word for what a job is for (OTC api-ref, "Querying the Task List",
/// `db_use_type`).
const fn use_type_name(kind: UseType) -> &'static str {
    match kind {
        UseType::Migration => "migration",
        UseType::Sync => "sync",
        UseType::DisasterRecovery => "cloudDataGuard",
    }
}

fn use_type_of(word: Scalar) -> Option<UseType> {
    let word = word.given()?;
    let mut kinds = UseType::ALL.into_iter();
    kinds.find(|kind| use_type_name(*kind) == word)
}

/// What a query by ids sends.
pub(in crate::api) fn by_ids(ids: &[JobId]) -> Bytes {
    let ids: Vec<&str> = ids.iter().map(JobId::as_str).collect();
    let body = json!({"jobs": ids, "page_req": {"cur_page": 1, "per_page": PER_PAGE}});
    body.to_string().into()
}

/// What the list call sends. An empty engine means any.
pub(in crate::api) fn list(use_type: UseType, page: usize, names: &str) -> Bytes {
    let mut body = json!({
        "cur_page": page,
        "per_page": PER_PAGE,
        "db_use_type": use_type_name(use_type),
        "engine_type": "",
    });
    if !names.is_empty() {
        body["name"] = json!(names);
    }
    body.to_string().into()
}

/// What the retry call sends. The flag about an edited job is left out: it is for
/// jobs that were edited.
pub(in crate::api) fn retry(ids: &[JobId]) -> Bytes {
    let jobs: Vec<_> = ids
        .iter()
        .map(|id| json!({"job_id": id.as_str()}))
        .collect();
    json!({"jobs": jobs}).to_string().into()
}

/// A row of the list, in the service's words.
#[derive(Debug, Default)]
pub(in crate::api) struct ListRow {
    pub(in crate::api) id: Option<String>,
    pub(in crate::api) name: Option<String>,
    pub(in crate::api) status: Option<String>,
    pub(in crate::api) engine: Option<String>,
    pub(in crate::api) use_type: Option<UseType>,
    /// The actions that are offered and those that are not, where it tells.
    pub(in crate::api) actions: Option<(Vec<String>, Vec<String>)>,
    pub(in crate::api) children: Vec<Self>,
}

/// A page of the list.
#[derive(Debug, Default)]
pub(in crate::api) struct ListPage {
    pub(in crate::api) total: Option<usize>,
    pub(in crate::api) rows: Vec<ListRow>,
}

/// What the details tell of a job, in the service's words.
#[derive(Debug, Default)]
pub(in crate::api) struct DetailRow {
    pub(in crate::api) id: Option<String>,
    pub(in crate::api) is_child: bool,
    pub(in crate::api) multi_write: bool,
    pub(in crate::api) use_type: Option<UseType>,
    pub(in crate::api) engine: Option<String>,
    pub(in crate::api) source: Database,
    pub(in crate::api) destination: Database,
}

impl DetailRow {
    /// Whether this is one half or the parent of a dual-active pair, and no subtask:
    /// the parent, if it has subtasks.
    pub(in crate::api) fn is_dual_active(&self) -> bool {
        self.multi_write && !self.is_child && self.use_type == Some(UseType::DisasterRecovery)
    }

    pub(in crate::api) const fn database(&self, endpoint: Endpoint) -> &Database {
        match endpoint {
            Endpoint::Source => &self.source,
            Endpoint::Destination => &self.destination,
        }
    }
}

/// One database of a job, in the service's words.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Database {
    pub(in crate::api) db_type: Option<String>,
    pub(in crate::api) address: Option<String>,
    pub(in crate::api) port: Option<String>,
    pub(in crate::api) user: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListWire {
    total_record: Scalar,
    count: Scalar,
    jobs: Vec<ListRowWire>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListRowWire {
    id: Scalar,
    name: Scalar,
    status: Scalar,
    engine_type: Scalar,
    db_use_type: Scalar,
    job_action: Option<ActionsWire>,
    children: Option<Vec<Self>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActionsWire {
    available_actions: Option<Vec<Scalar>>,
    unavailable_actions: Option<Vec<Scalar>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DetailsWire {
    results: Vec<DetailWire>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DetailWire {
    id: Scalar,
    parent_id: Scalar,
    multi_write: Scalar,
    db_use_type: Scalar,
    inst_info: Option<InstanceWire>,
    source_endpoint: Option<DatabaseWire>,
    target_endpoint: Option<DatabaseWire>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InstanceWire {
    engine_type: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DatabaseWire {
    db_type: Scalar,
    ip: Scalar,
    inst_id: Scalar,
    db_port: Scalar,
    db_user: Scalar,
}

/// Reads a page of the list. Nothing comes of a body of another shape.
pub(in crate::api) fn read_list(body: &[u8]) -> Option<ListPage> {
    let page: ListWire = object(body)?;
    let total = page.total_record.given().or(page.count.given());
    Some(ListPage {
        total: total.and_then(|total| total.trim().parse().ok()),
        rows: page.jobs.into_iter().map(list_row).collect(),
    })
}

/// An object; a derived struct would also be read from a list, by position.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let is_object = body.trim_ascii_start().starts_with(b"{") && !is_excessive(body);
    is_object.then(|| serde_json::from_slice(body).ok())?
}

fn list_row(row: ListRowWire) -> ListRow {
    let names = |list: Option<Vec<Scalar>>| -> Vec<String> {
        let list = list.into_iter().flatten();
        list.filter_map(Scalar::given).collect()
    };
    ListRow {
        id: row.id.given(),
        name: row.name.given(),
        status: row.status.given(),
        engine: row.engine_type.given(),
        use_type: use_type_of(row.db_use_type),
        actions: row.job_action.map(|actions| {
            (
                names(actions.available_actions),
                names(actions.unavailable_actions),
            )
        }),
        children: row.children.into_iter().flatten().map(list_row).collect(),
    }
}

/// Reads details. Nothing comes of a body of another shape.
pub(in crate::api) fn read_details(body: &[u8]) -> Option<Vec<DetailRow>> {
    let details: DetailsWire = object(body)?;
    let database = |wire: Option<DatabaseWire>| {
        let wire = wire.unwrap_or_default();
        Database {
            db_type: wire.db_type.given(),
            // Of an instance of the cloud, only its id may be told.
            address: wire.ip.given().or(wire.inst_id.given()),
            port: wire.db_port.given(),
            user: wire.db_user.given(),
        }
    };
    let rows = details.results.into_iter().map(|row| DetailRow {
        id: row.id.given(),
        is_child: row.parent_id.given().is_some(),
        multi_write: row.multi_write.given().as_deref() == Some("true"),
        use_type: use_type_of(row.db_use_type),
        engine: row
            .inst_info
            .and_then(|instance| instance.engine_type.given()),
        source: database(row.source_endpoint),
        destination: database(row.target_endpoint),
    });
    Some(rows.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn ids() -> Vec<JobId> {
        ["j1", "j2"].map(|id| JobId::parse(id).unwrap()).to_vec()
    }

    fn value(body: &Bytes) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn queries_ask_for_full_pages() {
        assert_eq!(
            value(&by_ids(&ids())),
            json!({"jobs": ["j1", "j2"], "page_req": {"cur_page": 1, "per_page": 100}})
        );
        assert_eq!(
            value(&list(UseType::Sync, 2, "")),
            json!({"cur_page": 2, "per_page": 100, "db_use_type": "sync", "engine_type": ""})
        );
        assert_eq!(value(&list(UseType::Sync, 1, "j1,j2"))["name"], "j1,j2");
        assert_eq!(
            value(&retry(&ids())),
            json!({"jobs": [{"job_id": "j1"}, {"job_id": "j2"}]})
        );
    }

    #[test]
    fn a_list_is_read_with_children_and_actions_and_drifting_types() {
        let page = read_list(
            br#"{"total_record":"2","jobs":[
                {"id":"p","name":7,"status":"INCRE_TRANSFER_STARTED","db_use_type":"cloudDataGuard",
                 "children":[{"id":"c1","status":"x"},{"id":"c2"}],"node_newFramework":null},
                {"id":"j","job_action":{"available_actions":["RETRY"],"unavailable_actions":null}}]}"#,
        )
        .unwrap();
        assert_eq!(page.total, Some(2));
        assert_eq!(page.rows[0].children.len(), 2);
        assert_eq!(page.rows[0].name.as_deref(), Some("7"));
        let (available, unavailable) = page.rows[1].actions.as_ref().unwrap();
        assert_eq!(available, &["RETRY"]);
        assert!(unavailable.is_empty());
        assert!(read_list(b"[1]").is_none());
        assert!(read_list(br#"{"jobs":3}"#).is_none());
    }

    #[test]
    fn details_are_read_without_their_password() {
        let rows = read_details(
            br#"{"count":1,"results":[{"id":"j","multi_write":true,"db_use_type":"sync",
                "inst_info":{"engine_type":"mysql","start_time":"0"},
                "source_endpoint":{"db_type":"mysql","ip":"10.0.0.1","db_port":3306,
                  "db_user":"repl","db_password":"canary-detail"},
                "target_endpoint":null}]}"#,
        )
        .unwrap();
        assert!(rows[0].multi_write && !rows[0].is_child);
        assert_eq!(rows[0].source.port.as_deref(), Some("3306"));
        assert!(rows[0].destination.user.is_none());
        assert!(!format!("{rows:?}").contains("canary"));
    }
}
