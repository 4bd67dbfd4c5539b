//! The profiles that are built in. A test holds this list against the folder.

use super::Profile;
use std::sync::{Arc, LazyLock};

macro_rules! texts {
    ($($folder:literal: $($name:literal)*;)*) => {
        &[$($((
            concat!($name, ".toml"),
            include_str!(concat!("../../profiles/", $folder, "/", $name, ".toml")),
        ),)*)*]
    };
}

pub(super) const TEXTS: &[(&str, &str)] = texts! {
    "cjt188":
        "generic-cjt188-cold-water"
        "generic-cjt188-cold-water-high-first"
        "generic-cjt188-cold-water-status-c0"
        "generic-cjt188-cooling"
        "generic-cjt188-drinking-water"
        "generic-cjt188-gas"
        "generic-cjt188-heat"
        "generic-cjt188-heat-cooling"
        "generic-cjt188-hot-water"
        "generic-cjt188-reclaimed-water"
        "runa-heat"
        "sanchuan-cold-water";
    "dlt645":
        "acrel-ddsy1352-dlt645"
        "generic-dlt645-1997-single-phase"
        "generic-dlt645-1997-three-phase"
        "generic-dlt645-energy"
        "generic-dlt645-single-phase"
        "generic-dlt645-single-phase-tariffs"
        "generic-dlt645-three-phase"
        "generic-dlt645-three-phase-tariffs"
        "generic-dlt645-two-way";
    "mbus":
        "aquametro-heat"
        "elster-f2"
        "elster-f96-plus"
        "emu-professional-375"
        "engelmann-sensostar-2"
        "engelmann-waterstar"
        "finder-7e-23"
        "generic-mbus-water"
        "itron-bm-m"
        "itron-cf-51"
        "itron-cyble-water"
        "itron-integral-mk-maxx"
        "kamstrup-382"
        "landis-gyr-ultraheat-t230"
        "landis-gyr-ultraheat-xs"
        "metrona-pollutherm"
        "minol-minocal-c2"
        "minol-minocal-wr3"
        "relay-padpuls2-gas"
        "rossweiner-modularis"
        "sensus-pollucom-e"
        "sensus-pollustat"
        "sensus-pollustat-e"
        "sensus-pollutherm"
        "sontex-supercal-531"
        "svm-f22"
        "techem-heat";
    "modbus":
        "acrel-adl3000"
        "acrel-ddsy1352"
        "eastron-sdm120"
        "eastron-sdm220"
        "eastron-sdm630"
        "schneider-iem3155"
        "tuf-2000m";
};

static ALL: LazyLock<Vec<Arc<Profile>>> = LazyLock::new(|| {
    // A test parses every one of them: none is left out at run time.
    let parse = |(name, text): &(&str, &str)| Profile::parse(text, name).ok().map(Arc::new);
    let mut all: Vec<Arc<Profile>> = TEXTS.iter().filter_map(parse).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all
});

pub(super) fn all() -> &'static [Arc<Profile>] {
    &ALL
}
