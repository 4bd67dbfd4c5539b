use super::*;
use blockgate_types::Time;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair,
};
use std::os::unix::fs::PermissionsExt;

const CONFIG: &str = "# the box in the basement\n[gateway]\nid = \"gw-1\"      # of this box\n\
    tenant = \"demo\"\nzone = \"Asia/Shanghai\"\nstate_dir = \"/var/lib/blockgate\"\n\n\
    [billing]\nclose_grace = \"24h\"\n\n[http]\nlisten = \"127.0.0.1:8080\"   # stays\n";

fn file(text: &str) -> Text {
    Text { name: "fleet.toml".to_owned(), text: text.to_owned() }
}

fn fleet(text: &str) -> Fleet {
    parse(&file(text), Path::new(".")).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    let faults = parse(&file(text), Path::new(".")).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

fn ca() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "a CA");
    let cert = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), cert)
}

/// A chain for a request, as a CA makes it.
fn signed(request: &str, by: &Issuer<'static, KeyPair>, days: (i32, i32)) -> String {
    let mut request = CertificateSigningRequestParams::from_pem(request).unwrap();
    let (from, until) = days;
    request.params.not_before = rcgen::date_time_ymd(2026 + from, 1, 1);
    request.params.not_after = rcgen::date_time_ymd(2026 + until, 1, 1);
    request.signed_by(by).unwrap().pem()
}

fn now() -> Time {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

#[test]
fn a_box_becomes_a_member_and_the_comments_of_its_config_stay() {
    let fleet = fleet(
        "tenant = \"xinghe\"\n[mqtt]\nhost = \"broker.example\"\n[[gateway]]\nid = \"gw-0001\"\nserial = \"AB12\"\n\
         [[gateway]]\nid = \"gw-0002\"\nserial = \"CD34\"\nusername = \"gw-0002\"\npassword = \"secret\"\n",
    );
    let member = choose(&fleet, None, &["x".to_owned(), "cd34".to_owned()]).unwrap();
    assert_eq!(member.id, "gw-0002");
    let identity = Identity::of(Path::new("/var/lib/blockgate"));
    let text = edited(CONFIG, &fleet, member, &identity).unwrap();
    assert!(
        text.starts_with(
            "# the box in the basement\n[gateway]\nid = \"gw-0002\"      # of this box\n"
        ),
        "{text}"
    );
    assert!(text.contains("listen = \"127.0.0.1:8080\"   # stays"), "{text}");
    assert!(!text.contains("secret"), "a secret stands in the config: {text}");
    let config = check(&text, Path::new("/nowhere/blockgate.toml")).unwrap();
    let mqtt = config.mqtt.unwrap();
    assert_eq!((mqtt.host.as_str(), mqtt.port), ("broker.example", 8883));
    assert_eq!(mqtt.ca, None, "the system's roots");
    assert_eq!(
        mqtt.password_file.as_deref(),
        Some(Path::new("/var/lib/blockgate/identity/password"))
    );
    // Once more changes nothing.
    assert_eq!(edited(&text, &fleet, member, &identity).unwrap(), text);
    // Another box of the same file: what it does not have goes.
    let first = choose(&fleet, Some("gw-0001"), &[]).unwrap();
    let text = edited(&text, &fleet, first, &identity).unwrap();
    assert!(!text.contains("password_file") && !text.contains("username"), "{text}");
}

#[test]
fn a_box_that_is_not_in_the_file_says_what_it_is_called() {
    let fleet = fleet(
        "tenant = \"t\"\n[mqtt]\nhost = \"h\"\n[[gateway]]\nid = \"gw-1\"\nserial = \"AB12\"\n",
    );
    let refused = choose(&fleet, None, &["EF56".to_owned()]).unwrap_err();
    assert!(refused.contains("EF56") && refused.contains("--gateway"), "{refused}");
    assert!(choose(&fleet, Some("gw-9"), &[]).unwrap_err().contains("gw-9"));
}

#[test]
fn every_fault_of_a_provisioning_file_is_named_with_its_place() {
    for (text, wanted) in [
        ("", "tenant"),
        ("tenant = \"t\"\n[mqtt]\nhost = \"h\"\n", "no [[gateway]]"),
        (
            "tenant = \"t\"\n[mqtt]\nhost = \"h\"\nprot = 1\n[[gateway]]\nid = \"g\"\n",
            "fleet.toml:4:1",
        ),
        (
            "tenant = \"t\"\n[mqtt]\nhost = \"h\"\nca = \"x\"\n[[gateway]]\nid = \"g\"\n",
            "no PEM block",
        ),
        (
            "tenant = \"t\"\n[mqtt]\nhost = \"h\"\nca_file = \"no.pem\"\n[[gateway]]\nid = \"g\"\n",
            "cannot be read",
        ),
        (
            "tenant = \"t\"\n[mqtt]\nhost = \"h\"\n[[gateway]]\nid = \"g\"\npassword = \"p\"\n",
            "needs a username",
        ),
        (
            "tenant = \"t\"\n[mqtt]\nhost = \"h\"\n[[gateway]]\nid = \"g\"\n[[gateway]]\nid = \"g\"\n",
            "two boxes",
        ),
        (
            "tenant = \"t\"\n[mqtt]\nhost = \"h\"\n[[gateway]]\nid = \"g\"\ncert = \"-----BEGIN CERTIFICATE-----\"\n",
            "belong together",
        ),
    ] {
        let found = faults(text);
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{text:?}: {found:?}");
    }
}

#[test]
fn a_box_that_has_no_certificate_makes_its_key_and_takes_what_the_ca_signed() {
    let dir = tempfile::tempdir().unwrap();
    let (issuer, _) = ca();
    let identity = Identity::of(dir.path());
    let request = identity.make_request("xinghe", "gw-0001").unwrap();
    assert_eq!(
        identity.make_request("xinghe", "gw-0001").unwrap(),
        request,
        "asked twice, one key"
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("identity")), 0o700);
    assert_eq!(mode(&dir.path().join("identity/next.key")), 0o600);
    let shown = identity.install(&signed(&request, &issuer, (0, 1)), now()).unwrap();
    assert!(shown.subject.contains("gw-0001") && shown.subject.contains("xinghe"), "{shown:?}");
    assert!(identity.cert().exists() && identity.key().exists() && !identity.request().exists());
}

#[test]
fn a_renewal_keeps_the_old_pair_until_the_new_one_is_there_and_beside_it_then() {
    let dir = tempfile::tempdir().unwrap();
    let (issuer, _) = ca();
    let identity = Identity::of(dir.path());
    let first = identity.make_request("t", "g").unwrap();
    identity.install(&signed(&first, &issuer, (0, 1)), now()).unwrap();
    let (key, cert) = (
        std::fs::read_to_string(identity.key()).unwrap(),
        std::fs::read_to_string(identity.cert()).unwrap(),
    );
    let second = identity.make_request("t", "g").unwrap();
    assert_ne!(first, second, "another key");
    assert_eq!(std::fs::read_to_string(identity.key()).unwrap(), key, "the old key is in use");
    identity.install(&signed(&second, &issuer, (0, 2)), now()).unwrap();
    assert_ne!(std::fs::read_to_string(identity.key()).unwrap(), key);
    let folder = dir.path().join("identity");
    assert_eq!(std::fs::read_to_string(folder.join("before.key")).unwrap(), key);
    assert_eq!(std::fs::read_to_string(folder.join("before.pem")).unwrap(), cert);
}

#[test]
fn a_certificate_that_does_not_fit_or_is_not_good_now_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (issuer, own) = ca();
    let identity = Identity::of(dir.path());
    let request = identity.make_request("t", "g").unwrap();
    identity.install(&signed(&request, &issuer, (0, 1)), now()).unwrap();
    let before = std::fs::read(identity.cert()).unwrap();
    let next = identity.make_request("t", "g").unwrap();
    for (chain, wanted) in [
        (own, "another key"),
        (signed(&next, &issuer, (-2, -1)), "ended"),
        (signed(&next, &issuer, (1, 2)), "begins"),
        ("nonsense".to_owned(), "no PEM certificate"),
    ] {
        let refused = format!("{:#}", identity.install(&chain, now()).unwrap_err());
        assert!(refused.contains(wanted), "{refused}");
        assert_eq!(std::fs::read(identity.cert()).unwrap(), before);
    }
}
