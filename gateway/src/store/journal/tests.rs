use super::*;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn small() -> Options {
    Options { segment_bytes: 4096, ..Options::default() }
}

#[test]
fn what_was_committed_is_read_back_in_order_across_segments() {
    let dir = dir();
    let (mut journal, opened) = Journal::open(dir.path(), small()).unwrap();
    assert_eq!(opened, Opened { next_seq: 1, cut: None });
    for batch in 0..20_u64 {
        for i in 0..3 {
            let seq = journal.append(format!("payload {}", batch * 3 + i + 1).repeat(9).as_bytes());
            assert_eq!(seq.unwrap(), batch * 3 + i + 1);
        }
        if let Some(errand) = journal.errand() {
            errand.run().unwrap();
        }
        let committed = journal.cut().unwrap().unwrap().commit().unwrap();
        assert_eq!(committed.through, batch * 3 + 3);
        for (seq, position) in committed.records() {
            let payload = journal.records().read_at(seq, position).unwrap();
            assert_eq!(payload, format!("payload {seq}").repeat(9));
        }
    }
    let head = journal.head();
    drop(journal);
    let (journal, opened) = Journal::open(dir.path(), small()).unwrap();
    assert_eq!((opened.next_seq, journal.head()), (61, head));
    for from in [1, 2, 30, 60] {
        let mut reader = journal.records().from(from);
        let mut seq = from;
        while let Some(item) = reader.read().unwrap() {
            assert_eq!(
                (item.seq, item.payload),
                (seq, format!("payload {seq}").repeat(9).as_bytes())
            );
            seq += 1;
        }
        assert_eq!((seq, reader.hash()), (61, head.1));
    }
    let verdict = verify(&RealDisk, dir.path()).unwrap();
    assert_eq!((verdict.records, verdict.first, verdict.last), (60, 1, 60));
    assert!(verdict.segments > 2 && verdict.damage.is_empty() && verdict.cut.is_none());
    assert_eq!(verdict.head, head.1.to_string());
}

#[test]
fn a_second_batch_waits_for_the_first_and_a_dropped_one_breaks_the_journal() {
    let dir = dir();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    assert!(journal.cut().unwrap().is_none());
    journal.append(b"one").unwrap();
    let first = journal.cut().unwrap().unwrap();
    journal.append(b"two").unwrap();
    assert!(journal.cut().unwrap().is_none());
    assert_eq!(first.commit().unwrap().through, 1);
    drop(journal.cut().unwrap().unwrap());
    assert!(matches!(journal.cut(), Err(JournalError::Broken)));
}
