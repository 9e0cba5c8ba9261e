//! The journal: foreign lines are refused without repeating them; what was recorded is
//! read back, whole or cut at any byte, and nothing else is.
#![no_main]

use drspass::core::state::{Lineage, RunId};
use drspass::store::journal::{JournalAnswer, JournalWriter, parse};
use drspass_fuzz::{assert_quiet, in_time, key, part, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let lines = part(&parts, 0);
    in_time(|| {
        let mac = key().journal_mac();
        if let Err(error) = parse(lines, Some(&mac)) {
            assert_quiet(error);
        }
        let answers: Vec<JournalAnswer> = lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let lineage = Lineage::new("l".to_owned());
        let run = RunId::new("r".to_owned());
        let mut writer = JournalWriter::create(&path, &lineage, 7, &run, mac.clone()).expect("created");
        writer.append(&answers).expect("written");
        let mut file = std::fs::read(&path).expect("read");
        let told = |file: &[u8]| {
            parse(file, Some(&mac))
                .map(|journal| journal.map(|journal| format!("{:?}", journal.answers)))
        };
        let kept = |answers: &[JournalAnswer]| (!answers.is_empty()).then(|| format!("{answers:?}"));
        assert_eq!(told(&file).expect("ours"), kept(&answers));

        let [high, low] = [0, 1].map(|at| part(&parts, 1).get(at).copied().unwrap_or_default());
        let at = usize::from(u16::from_be_bytes([high, low])) % file.len();
        let lines = file[..at].iter().filter(|byte| **byte == b'\n').count();
        let kept = kept(&answers[..lines.saturating_sub(1)]);
        assert_eq!(told(&file[..at]).expect("cut"), kept);

        // Nothing is read behind another byte.
        file[at] ^= 1;
        if let Ok(read) = told(&file) {
            assert_eq!(read, kept, "byte {at}");
        }
    });
});
