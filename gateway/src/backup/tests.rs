use super::*;
use crate::ports::Disk;
use crate::store::Store;
use crate::store::tests::journal;

/// A gateway's folder with a config, keys and a journal of `records`.
fn site(records: u64) -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    put(
        "etc/blockgate.toml",
        "[gateway]\nid = \"g\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\nstate_dir = \"../state\"\n\
         [billing]\nclose_grace = \"1h\"\n[mqtt]\nhost = \"localhost\"\nport = 8883\nca = \"tls/ca.crt\"\n\
         cert = \"tls/gateway.crt\"\nkey = \"tls/gateway.key\"\n",
        0o644,
    );
    put("etc/tls/ca.crt", "the ca", 0o644);
    put("etc/tls/gateway.crt", "the certificate", 0o644);
    put("etc/tls/gateway.key", "SECRET-KEY", 0o600);
    put("state/tokens.toml", "SECRET-TOKENS", 0o600);
    put("etc/profiles.d/README", "no profile", 0o644);
    put("state/meters.d/page.toml", "# added", 0o640);
    let (mut store, mut block, _) = Store::open(&dir.path().join("state")).unwrap();
    journal(&mut store, &mut block, records);
    store.saver().save(&store.checkpoint(&block).unwrap()).unwrap();
    let receipt = crate::outbox::Receipt { through: Some(records / 2), ..Default::default() };
    store.outbox.receipt(&receipt).unwrap();
    store.outbox.save().unwrap();
    drop(store);
    let text = std::fs::read_to_string(dir.path().join("etc/blockgate.toml")).unwrap();
    let main = crate::config::Text { name: "blockgate.toml".to_owned(), text };
    let config = Config::parse(&main, &[], &[], &dir.path().join("etc"));
    let config = config.unwrap_or_else(|faults| panic!("{}", faults[0]));
    (dir, config)
}

fn backup(
    (dir, config): &(tempfile::TempDir, Config),
    keys: bool,
    passphrase: Option<&str>,
    durable: Option<u64>,
) -> (Vec<u8>, Written) {
    let file = dir.path().join("etc/blockgate.toml");
    let request = Request { config: (config, &file), keys, passphrase, durable, made: Time::EPOCH };
    write(Vec::new(), &request).unwrap()
}

#[test]
fn what_is_restored_is_the_same_journal_the_same_state_and_the_same_receipts() {
    let site = site(300);
    let (file, written) = backup(&site, true, Some("swan lake"), None);
    assert_eq!((written.end.records, written.left_out.len()), (300, 0));
    for secret in ["SECRET-KEY", "SECRET-TOKENS", "bill-10"] {
        assert!(!file.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret}");
    }
    let seen = look(&file[..], Some("swan lake")).unwrap();
    assert_eq!((seen.end.clone(), seen.files.len()), (written.end, 7));
    let new = tempfile::tempdir().unwrap();
    let (state, etc) = (new.path().join("state"), new.path().join("etc"));
    let done = restore(&file[..], Some("swan lake"), &state, Some(&etc)).unwrap();
    assert_eq!(done, seen);
    assert_eq!(std::fs::read_to_string(etc.join("tls/gateway.key")).unwrap(), "SECRET-KEY");
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(etc.join("tls/gateway.key")), 0o600);
    assert_eq!(mode(state.join("tokens.toml")), 0o600);
    assert_eq!(std::fs::read_to_string(state.join("meters.d/page.toml")).unwrap(), "# added");
    let old = site.0.path().join("state");
    let verdict =
        |dir: &Path| crate::store::journal::verify(&RealDisk, &dir.join("journal")).unwrap();
    assert_eq!(verdict(&state).head, verdict(&old).head);
    let (a, block_a, _) = Store::open(&old).unwrap();
    let (b, block_b, found) = Store::open(&state).unwrap();
    assert!(block_a == block_b && found.warnings.is_empty(), "{found:?}");
    assert_eq!(a.outbox.stats(), b.outbox.stats());
    assert_eq!(b.outbox.through(), 150);
    // What the cloud says of numbers beyond the backup may be said of what was lost.
    let receipts = |dir: &Path| std::fs::read_to_string(dir.join("receipts")).unwrap();
    assert!(receipts(&state).contains("\"restored\":300"), "{}", receipts(&state));
    assert!(!receipts(&old).contains("restored"));
}

#[test]
fn keys_are_left_out_or_encrypted_and_a_backup_ends_where_the_daemon_says_it_is_durable() {
    let site = site(40);
    let (file, written) = backup(&site, false, None, Some(25));
    let left: Vec<_> = written.left_out.iter().filter_map(|p| p.file_name()).collect();
    assert_eq!(left, ["tokens.toml", "gateway.key"]);
    assert!(!String::from_utf8_lossy(&file).contains("SECRET"));
    assert_eq!(look(&file[..], None).unwrap().end.records, 25);
    let path = site.0.path().join("etc/blockgate.toml");
    let request = Request {
        config: (&site.1, &path),
        keys: true,
        passphrase: None,
        durable: None,
        made: Time::EPOCH,
    };
    assert!(matches!(write(Vec::new(), &request), Err(BackupError::KeysInTheOpen)));
}

#[test]
fn a_restore_writes_over_nothing_and_a_half_done_one_does_not_start() {
    let site = site(20);
    let (file, _) = backup(&site, false, None, None);
    let old = site.0.path().join("state");
    let refused = restore(&file[..], None, &old, None);
    assert!(matches!(refused, Err(BackupError::NotEmpty(ref dir)) if *dir == old), "{refused:?}");
    let new = tempfile::tempdir().unwrap();
    let cut = &file[..file.len() - 40];
    assert!(restore(cut, None, new.path(), None).is_err());
    let Err(error) = Store::open(new.path()) else { panic!("half a journal was opened") };
    assert!(error.to_string().contains("restore"), "{error}");
    for (name, text) in [("x", &b"no backup, but long enough to hold a head of it"[..]), ("y", cut)]
    {
        assert!(look(text, None).is_err(), "{name}");
    }
    let _ = RealDisk.list(new.path()).unwrap();
}

#[test]
fn a_path_that_leaves_its_folder_is_refused() {
    for bad in ["../x", "/etc/passwd", "", ".", "a/../../b"] {
        assert!(check_name(Path::new(bad)).is_err(), "{bad}");
    }
    assert!(check_name(Path::new("rules.d/a.toml")).is_ok());
}

#[test]
fn each_error_says_in_both_languages_what_is_wrong() {
    for error in [
        BackupError::NotOurs,
        BackupError::CutShort,
        BackupError::Damaged,
        BackupError::NeedsPassphrase,
        BackupError::Passphrase,
        BackupError::KeysInTheOpen,
        BackupError::Crypto,
        BackupError::OtherHead,
        BackupError::NotEmpty("state".into()),
        BackupError::Refused("x".to_owned()),
    ] {
        let text = error.text();
        assert!(text.en.is_ascii() && !text.zh.is_ascii(), "{text:?}");
    }
}
