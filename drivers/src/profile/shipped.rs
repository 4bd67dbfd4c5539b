//! The profiles that are built in. A test holds this list against the folder.

use super::Profile;
use std::sync::{Arc, LazyLock};

macro_rules! texts {
    ($($name:literal)*) => {
        &[$((
            concat!($name, ".toml"),
            include_str!(concat!("../../profiles/modbus/", $name, ".toml")),
        ),)*]
    };
}

pub(super) const TEXTS: &[(&str, &str)] = texts! {
    "acrel-adl3000"
    "acrel-ddsy1352"
    "eastron-sdm120"
    "eastron-sdm220"
    "eastron-sdm630"
    "schneider-iem3155"
    "tuf-2000m"
};

static ALL: LazyLock<Vec<Arc<Profile>>> = LazyLock::new(|| {
    // A test parses every one of them: none is left out at run time.
    let parse = |(name, text): &(&str, &str)| Profile::parse(text, name).ok().map(Arc::new);
    TEXTS.iter().filter_map(parse).collect()
});

pub(super) fn all() -> &'static [Arc<Profile>] {
    &ALL
}
