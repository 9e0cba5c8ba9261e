//! What is known of the clouds that offer the service: their domains, regions and
//! hosts, and the addresses that follow from a region.

/// Domains of the clouds that offer the service. Hosts below them are named
/// `<service>.<region>.<domain>`. Source: Open Telekom Cloud "Regions and
/// Endpoints"; region list of the official Huawei Cloud SDK.
const CLOUD_DOMAINS: [&str; 4] = [
    "otc.t-systems.com",
    "sc.otc.t-systems.com",
    "myhuaweicloud.com",
    "myhuaweicloud.eu",
];

/// The regions whose addresses follow from their name, beside those of Open
/// Telekom Cloud (region list of the official Huawei Cloud SDK). A name that is
/// not here is refused: a typing error would be sealed into the manifest.
const HUAWEI_REGIONS: [&str; 34] = [
    "ae-ad-1",
    "af-north-1",
    "af-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-north-1",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-north-11",
    "cn-north-12",
    "cn-south-1",
    "cn-south-2",
    "cn-south-4",
    "cn-southwest-2",
    "cn-southwest-3",
    "eu-west-0",
    "eu-west-101",
    "la-north-2",
    "la-south-2",
    "me-east-1",
    "my-kualalumpur-1",
    "na-mexico-1",
    "ru-moscow-1",
    "ru-northwest-2",
    "sa-brazil-1",
    "tr-west-1",
];

/// Host labels of the services that a password or a cloud login is sent to.
const SERVICES: [&str; 3] = ["drs", "iam", "iam-pub"];

/// The addresses that follow from a region.
pub(super) struct Addresses {
    pub(super) endpoint: String,
    pub(super) auth_url: String,
}

/// The addresses of a region (OTC "Regions and Endpoints", SDK region list).
pub(super) fn addresses(region: &str) -> Option<Addresses> {
    let (domain, iam) = match region {
        "eu-de" | "eu-nl" => ("otc.t-systems.com", "iam"),
        "eu-ch2" => ("sc.otc.t-systems.com", "iam-pub"),
        "eu-west-101" => ("myhuaweicloud.eu", "iam"),
        known if HUAWEI_REGIONS.contains(&known) => ("myhuaweicloud.com", "iam"),
        _ => return None,
    };
    Some(Addresses {
        endpoint: format!("https://drs.{region}.{domain}"),
        auth_url: format!("https://{iam}.{region}.{domain}/v3"),
    })
}

/// Whether `host` is `<service>.<region>.<domain>` of a known cloud.
pub(super) fn is_cloud_host(host: &str) -> bool {
    let Some((service, rest)) = host.split_once('.') else {
        return false;
    };
    let Some((region, domain)) = rest.split_once('.') else {
        return false;
    };
    SERVICES.contains(&service) && !region.is_empty() && CLOUD_DOMAINS.contains(&domain)
}
