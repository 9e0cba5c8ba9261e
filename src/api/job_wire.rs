//! The JSON of the calls that query and retry jobs (OTC api-ref, "Querying Task Statuses in
//! Batches", "Querying Details About Tasks in Batches", "Querying the Task List", "Resuming or
//! Retrying Tasks in Batches").
//!
//! Details may have the current password (the response table lists `db_password`): it is never
//! read, and the buffer is wiped.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::wire::{LooseText, is_excessive};
use crate::core::inventory::UseType;
use crate::core::job::{Endpoint, JobId};

/// Results on a page; the most that the queries take. Their default is five, or ten in the list.
pub const PER_PAGE: usize = 100;

/// The action that sets a password (official Huawei Cloud SDK, `job_action`).
const RESET_PASSWORD: &str = "RESET_DB_PWD";

/// Returns the service's name of a use type (OTC api-ref, "Querying the Task List",
/// `db_use_type`).
const fn use_type_name(kind: UseType) -> &'static str {
    match kind {
        UseType::Migration => "migration",
        UseType::Sync => "sync",
        UseType::DisasterRecovery => "cloudDataGuard",
    }
}

fn use_type_of(word: &LooseText) -> Option<UseType> {
    let word = word.text()?;
    let mut kinds = UseType::ALL.into_iter();
    kinds.find(|kind| use_type_name(*kind) == word)
}

pub fn by_ids(ids: &[JobId]) -> Bytes {
    let ids: Vec<&str> = ids.iter().map(JobId::as_str).collect();
    let body = json!({"jobs": ids, "page_req": {"cur_page": 1, "per_page": PER_PAGE}});
    body.to_string().into()
}

/// Returns the body of the list call. An empty engine means any.
pub fn list(use_type: UseType, page: usize, names: &str) -> Bytes {
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

/// Returns the body of the retry call, without the flag for jobs that were edited.
pub fn retry(ids: &[JobId]) -> Bytes {
    let jobs: Vec<_> = ids
        .iter()
        .map(|id| json!({"job_id": id.as_str()}))
        .collect();
    json!({"jobs": jobs}).to_string().into()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListRow {
    pub id: LooseText,
    pub name: LooseText,
    pub status: LooseText,
    pub engine_type: LooseText,
    db_use_type: LooseText,
    job_action: Option<ActionsRow>,
    children: Option<Vec<Self>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ActionsRow {
    available_actions: Option<Vec<LooseText>>,
    unavailable_actions: Option<Vec<LooseText>>,
}

impl ListRow {
    pub fn use_type(&self) -> Option<UseType> {
        use_type_of(&self.db_use_type)
    }

    pub fn children(&self) -> &[Self] {
        self.children.as_deref().unwrap_or_default()
    }

    /// Returns whether the service offers to set a password; `None` if it lists that action neither
    /// as available nor as unavailable, as a cloud that does not know it.
    pub fn offers_password(&self) -> Option<bool> {
        let is_in = |list: &Option<Vec<LooseText>>| {
            let mut names = list.iter().flatten().filter_map(LooseText::text);
            names.any(|action| action == RESET_PASSWORD)
        };
        let actions = self.job_action.as_ref()?;
        let available = is_in(&actions.available_actions);
        let unavailable = is_in(&actions.unavailable_actions);
        (available != unavailable).then_some(available)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ListPage {
    pub jobs: Vec<ListRow>,
    total_record: LooseText,
    count: LooseText,
}

impl ListPage {
    pub fn total(&self) -> Option<usize> {
        let total = self.total_record.text().or(self.count.text())?;
        total.trim().parse().ok()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct DetailPage {
    pub results: Vec<DetailRow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DetailRow {
    pub id: LooseText,
    parent_id: LooseText,
    multi_write: LooseText,
    db_use_type: LooseText,
    inst_info: Option<InstanceRow>,
    source_endpoint: Option<DatabaseRow>,
    target_endpoint: Option<DatabaseRow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InstanceRow {
    engine_type: LooseText,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DatabaseRow {
    pub db_type: LooseText,
    ip: LooseText,
    inst_id: LooseText,
    pub db_port: LooseText,
    pub db_user: LooseText,
}

impl DetailRow {
    /// Returns whether this is half or the parent of a dual-active pair; with subtasks, it is the
    /// parent.
    pub fn is_dual_active(&self) -> bool {
        self.multi_write.text() == Some("true")
            && self.parent_id.text().is_none()
            && use_type_of(&self.db_use_type) == Some(UseType::DisasterRecovery)
    }

    pub fn engine(&self) -> Option<&str> {
        self.inst_info.as_ref()?.engine_type.text()
    }

    pub const fn database(&self, endpoint: Endpoint) -> Option<&DatabaseRow> {
        match endpoint {
            Endpoint::Source => self.source_endpoint.as_ref(),
            Endpoint::Destination => self.target_endpoint.as_ref(),
        }
    }
}

impl DatabaseRow {
    /// An instance of the cloud may have an id only.
    pub fn address(&self) -> Option<&str> {
        self.ip.text().or(self.inst_id.text())
    }
}

/// Parses an object; serde would also read a derived struct from a list, by position.
pub fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let is_object = body.trim_ascii_start().starts_with(b"{") && !is_excessive(body);
    is_object.then(|| serde_json::from_slice(body).ok())?
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
        let page = object::<ListPage>(
            br#"{"total_record":"2","jobs":[
                {"id":"p","name":7,"status":"INCRE_TRANSFER_STARTED","db_use_type":"cloudDataGuard",
                 "children":[{"id":"c1","status":"x"},{"id":"c2"}],"node_newFramework":null},
                {"id":"j","job_action":{"available_actions":["RETRY"],"unavailable_actions":null}}]}"#,
        )
        .unwrap();
        assert_eq!(page.total(), Some(2));
        assert_eq!(page.jobs[0].children().len(), 2);
        assert_eq!(page.jobs[0].name.text(), Some("7"));
        let actions = page.jobs[1].job_action.as_ref().unwrap();
        let available = actions.available_actions.iter().flatten();
        let available: Vec<_> = available.filter_map(LooseText::text).collect();
        assert_eq!(available, ["RETRY"]);
        assert!(actions.unavailable_actions.is_none());
        assert!(object::<ListPage>(b"[1]").is_none());
        assert!(object::<ListPage>(br#"{"jobs":3}"#).is_none());
    }

    #[test]
    fn details_are_read_without_their_password() {
        let page: DetailPage = object(
            br#"{"count":1,"results":[{"id":"j","multi_write":true,"db_use_type":"sync",
                "inst_info":{"engine_type":"mysql","start_time":"0"},
                "source_endpoint":{"db_type":"mysql","ip":"10.0.0.1","db_port":3306,
                  "db_user":"repl","db_password":"canary-detail"},
                "target_endpoint":null}]}"#,
        )
        .unwrap();
        let rows = page.results;
        assert_eq!(rows[0].multi_write.text(), Some("true"));
        assert!(rows[0].parent_id.text().is_none());
        let source = rows[0].database(Endpoint::Source).unwrap();
        assert_eq!(source.db_port.text(), Some("3306"));
        let destination = rows[0].database(Endpoint::Destination);
        assert!(destination.is_none_or(|database| database.db_user.text().is_none()));
        assert!(!format!("{rows:?}").contains("canary"));
    }

    #[test]
    fn actions_count_only_where_the_service_is_clear_about_them() {
        let read = |available: &[&str], unavailable: &[&str]| {
            let actions =
                json!({"available_actions": available, "unavailable_actions": unavailable});
            let body = json!({"jobs": [{"job_action": actions}]}).to_string();
            object::<ListPage>(body.as_bytes()).unwrap().jobs[0].offers_password()
        };
        assert_eq!(read(&["RESET_DB_PWD"], &["RETRY"]), Some(true));
        assert_eq!(read(&["RETRY"], &["RESET_DB_PWD"]), Some(false));
        assert_eq!(read(&["RETRY"], &[]), None);
        assert_eq!(read(&[], &[]), None);
        assert_eq!(read(&["RESET_DB_PWD"], &["RESET_DB_PWD"]), None);
    }
}
