//! The text of a new drspass.yaml.

use super::{DEFAULT_MANIFEST, DEFAULT_STATE, TargetConfig};
use crate::core::yaml::quote;

/// A new drspass.yaml for `init`: what is given is quoted, what has a default
/// stands in a comment.
pub fn template(target: &TargetConfig, recipients: &[String]) -> String {
    let mut out = String::from(
        "# Where the passwords of DRS jobs go, and who may read them. No secret is here.\n\
         version: 1\n\n",
    );
    line(&mut out, "manifest: ", Some(DEFAULT_MANIFEST));
    line(&mut out, "state: ", Some(DEFAULT_STATE));
    out.push_str(
        "\n# To whom the manifest is encrypted: age1..., ssh-ed25519 or ssh-rsa keys.\n\
         # They are sealed in the manifest; changing this list alone is refused.\n\
         recipients:\n",
    );
    for recipient in recipients {
        line(&mut out, "  - ", Some(recipient));
    }
    out.push_str("\n# Literal values; they must equal what is sealed in the manifest.\ntarget:\n");
    line(&mut out, "  region: ", target.region.as_deref());
    line(&mut out, "  project_id: ", Some(&target.project_id));
    line(&mut out, "  endpoint: ", target.endpoint.as_deref());
    line(&mut out, "  auth_url: ", target.auth_url.as_deref());
    out.push_str(
        "
# How an apply sends; these are the defaults.
# apply:
#   batch_size: 10
#   parallelism: 4
#   request_timeout: 60s
#   retry:
#     max_elapsed: 5m

# There are no limits unless set here. An apply that changes more is refused;
# --override-limits N accepts exactly N changes.
# limits:
#   max_changes: 100
#   max_changed_share: 20%
",
    );
    out
}

fn line(out: &mut String, start: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.push_str(start);
        quote(value, out);
        out.push('\n');
    }
}
