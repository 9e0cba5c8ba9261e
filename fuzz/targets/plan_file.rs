//! Saved plans: what is no plan is told by kind; what is accepted is written as it was,
//! and is proved by the key alone.
#![no_main]

use drspass::core::saved::SavedPlan;
use drspass::store::plan_file::PlanFile;
use drspass_fuzz::{assert_quiet, in_time, key, part, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let file = part(&parts, 0);
    in_time(|| {
        match PlanFile::parse(file) {
            Ok(plan) => assert!(!plan.is_authentic(&key().plan_mac()), "nobody has the key"),
            Err(error) => assert_quiet(error),
        }
        // The body alone, which is not hidden behind its id.
        let Ok(plan) = serde_json::from_slice::<SavedPlan>(file) else {
            return;
        };
        let made = PlanFile::new(plan, &key().plan_mac());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        made.write(&path).expect("written");
        let mut bytes = std::fs::read(&path).expect("read");
        let read = PlanFile::parse(&bytes).expect("what is written is read");
        assert!(read.is_authentic(&key().plan_mac()) && !read.is_authentic(&key().state_mac()));
        assert_eq!(format!("{:?}", read.plan), format!("{:?}", made.plan));
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        if let Ok(other) = PlanFile::parse(&bytes) {
            assert!(!other.is_authentic(&key().plan_mac()));
        }
    });
});
