//! docs/devices.md is made from the profiles. `BLESS=1 cargo test -p blockgate-drivers --test devices`
//! writes it anew.

#[test]
fn the_list_of_devices_is_that_of_the_profiles() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/devices.md");
    let want = blockgate_drivers::devices_markdown();
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
        std::fs::write(path, &want).unwrap();
    }
    let have = std::fs::read_to_string(path).unwrap_or_default();
    let hint = "docs/devices.md is stale: BLESS=1 cargo test -p blockgate-drivers --test devices";
    assert!(have == want, "{hint}");
}
