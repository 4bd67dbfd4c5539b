use super::*;
use std::collections::BTreeSet;

#[test]
fn every_profile_in_the_folder_is_built_in_and_bears_its_file_s_name() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/modbus");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> =
        Profile::shipped_texts().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, listed);
    for (name, text) in Profile::shipped_texts() {
        let profile = Profile::parse(text, name).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(format!("{}.toml", profile.id), *name);
    }
    assert_eq!(Profile::shipped().count(), files.len());
    let ids: Vec<&str> = Profile::shipped().map(|profile| profile.id.as_str()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}
