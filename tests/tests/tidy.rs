//! What holds for the tree as a whole: package directions, invariants tied to tests, bans that no
//! compiler and no lint sees. Each failure names `file:line` and what to do.
//!
//! It reads text, not syntax trees: comments and literals are blanked out first, so that a check
//! sees code only. A check that would have to guess is left to review.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The longest file that is still an accident and not a habit; the aim is 100 to 400 lines.
const LINES_MAX: usize = 1_200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace's folder")
}

/// A file of the tree: its path from the root, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    /// The text with comments and literals blanked out; line numbers stay.
    fn code(&self) -> String {
        blank(&self.text)
    }

    /// Whether the whole file is test code.
    fn is_test(&self) -> bool {
        let path = format!("/{}", self.path);
        ["/tests/", "/examples/", "/benches/"].iter().any(|folder| path.contains(folder))
            || path.ends_with("/tests.rs")
    }

    /// Code that ships: without the test module at the end.
    fn shipped(&self) -> String {
        let code = self.code();
        if self.is_test() {
            return String::new();
        }
        code[..test_module(&code).unwrap_or(code.len())].to_owned()
    }
}

/// Where the inline test module begins, if there is one.
fn test_module(code: &str) -> Option<usize> {
    code.match_indices("#[cfg(test)]").map(|(at, _)| at).find(|at| {
        let after = code[*at + "#[cfg(test)]".len()..].trim_start();
        after.starts_with("mod ") && after.lines().next().is_some_and(|line| line.contains('{'))
    })
}

/// Every text file of the tree, in order of path.
fn files(wanted: impl Fn(&str) -> bool) -> Vec<File> {
    fn walk(folder: &Path, root: &Path, wanted: &dyn Fn(&str) -> bool, found: &mut Vec<File>) {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | ".venv" | "node_modules") {
                    walk(&path, root, wanted, found);
                }
            } else if kind.is_file() && name != ".git" {
                let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                if wanted(&relative)
                    && let Ok(text) = std::fs::read_to_string(&path)
                {
                    found.push(File { path: relative, text });
                }
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root, &root, &wanted, &mut found);
    found
}

fn rust_files() -> Vec<File> {
    files(|path| path.ends_with(".rs"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Fails with every place that was found, and what to do about them.
#[track_caller]
fn none(found: &[String], what_to_do: &str) {
    assert!(found.is_empty(), "\n{}\n→ {what_to_do}\n", found.join("\n"));
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The places of a word in code, as `path:line`.
fn places(path: &str, code: &str, word: &str) -> Vec<String> {
    code.match_indices(word)
        .filter(|(at, _)| !code[..*at].ends_with(is_word))
        .map(|(at, _)| format!("{path}:{}: {word}", line_of(code, at)))
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Rust source with comments, strings and characters replaced by spaces; newlines stay.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            character(rest)
        } else if let Some(length) = (!out.ends_with(is_word)).then(|| raw_string(rest)).flatten() {
            length
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        // Byte for byte, so that a place in the code is the same place in the text.
        out.extend(rest[..taken].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
        rest = &rest[taken..];
    }
    out
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character's length; a lifetime's quote counts as one sign.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[2..].find('\'').map_or(rest.len(), |end| end + 3).max(4),
        Some((_, _)) => match chars.next() {
            Some((at, '\'')) => at + 1,
            Some(_) | None => 1,
        },
        None => 1,
    }
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`: the length, or `None` when it is something else.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'));
    let Some(after) = after else {
        return rest.strip_prefix('b').filter(|r| r.starts_with('"')).map(|r| 1 + string(r));
    };
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let body = rest.len() - after.len() + hashes + 1;
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

#[test]
fn comments_and_literals_are_blanked_and_nothing_else() {
    for (source, want) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x\"y", z)"#, "f(      , z)"),
        (r##"f(r#"x"y"#, z)"##, "f(        , z)"),
        ("b\"ab\" x", "      x"),
        ("'a' '\\'' '\\n' 'b", "               b"),
        ("fn f<'a>(x: &'a str)", "fn f< a>(x: & a str)"),
        ("for r in s", "for r in s"),
        ("\"温\"x", "     x"),
    ] {
        assert_eq!(blank(source), want, "{source}");
    }
}

/// The dependencies that a manifest names, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim_end_matches(']').ends_with("dependencies");
        } else if inside && !line.trim().is_empty() && !line.starts_with('#') {
            let name: String = line.chars().take_while(|c| is_word(*c) || *c == '-').collect();
            found.push((number + 1, name));
        }
    }
    found
}

#[test]
fn packages_depend_only_in_the_direction_of_the_map() {
    let io = ["tokio", "tokio-util", "tokio-serial", "tokio-modbus", "tracing", "log", "libc"];
    let outside = ["sled", "rumqttc", "warp", "hyper", "rustls", "sd-notify", "blockgate"];
    type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a [&'a str]]);
    let rows: [Row<'_>; 4] = [
        ("rules/types", &[], &[&io, &outside]),
        ("rules", &["blockgate-types"], &[&io, &outside, &["rand"]]),
        ("drivers", &["blockgate-types", "blockgate-drivers"], &[&outside]),
        ("gateway", &["blockgate-types", "blockgate-rules", "blockgate-drivers"], &[]),
    ];
    let mut found = Vec::new();
    for (folder, ours, banned) in rows {
        let path = format!("{folder}/Cargo.toml");
        for (line, name) in dependencies(&read(&path)) {
            let foreign = name.starts_with("blockgate-") && !ours.contains(&name.as_str());
            if foreign || banned.iter().any(|list| list.contains(&name.as_str())) {
                found.push(format!("{path}:{line}: {folder} must not know {name}"));
            }
        }
    }
    none(&found, "see the table of packages in ARCHITECTURE.md");
}

// invariant 9
#[test]
fn no_float_in_rules_and_types() {
    let mut found = Vec::new();
    for file in rust_files().iter().filter(|file| file.path.starts_with("rules/")) {
        let code = file.code();
        for (number, line) in code.lines().enumerate() {
            if let Some(float) = float(line) {
                found.push(format!("{}:{}: {float}", file.path, number + 1));
            }
        }
    }
    none(&found, "money is integer fen, quantities are Decimal, and both enter as text");
}

/// A float's type, a function named after one, or a literal.
fn float(line: &str) -> Option<&str> {
    let words = line.split(|c: char| !is_word(c));
    if let Some(word) = words.into_iter().find(|w| w.ends_with("f32") || w.ends_with("f64")) {
        let before = &word[..word.len() - 3];
        let is_suffix = before.is_empty() || before.ends_with('_');
        if is_suffix || before.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(word);
        }
    }
    // `1.5`, but not the tuple's `x.0.1`, the range `0..1` or the version of a name `a1.5`.
    line.match_indices('.').map(|(at, _)| at).find_map(|at| {
        let number = line[..at].trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        let is_literal = number.len() < at
            && !number.ends_with(|c: char| is_word(c) || c == '.' || c == ')' || c == ']')
            && line[at + 1..].starts_with(|c: char| c.is_ascii_digit());
        is_literal.then(|| &line[number.len()..=at + 1])
    })
}

#[test]
fn a_float_is_told_from_a_tuple_a_range_and_a_name() {
    for line in ["let x: f64 = y;", "x.to_f64()", "x * 1.5", "2f32", "(1_000.25)"] {
        assert!(float(line).is_some(), "{line}");
    }
    for line in ["x.0.1", "0..1", "buf32", "pair().0.1", "[0].1.2", "1.max(2)"] {
        assert_eq!(float(line), None, "{line}");
    }
}

/// The invariants of ARCHITECTURE.md: number, line, the tests that prove it; none when it says that
/// it is not yet tested.
fn invariants(text: &str) -> Result<Vec<(u32, usize, Vec<String>)>, String> {
    let start = text.find("\n## Invariants").ok_or("ARCHITECTURE.md: no section \"Invariants\"")?;
    let first = line_of(text, start + 1);
    let mut found: Vec<(u32, usize, String)> = Vec::new();
    for (offset, line) in text[start + 1..].lines().enumerate() {
        let number = line.split_once(". ").and_then(|(n, _)| n.parse().ok());
        match (number, found.last_mut()) {
            (Some(number), _) => found.push((number, first + offset, line.to_owned())),
            (None, Some((_, _, text))) if line.starts_with(' ') => text.push_str(line),
            (None, _) => {}
        }
    }
    found
        .into_iter()
        .map(|(number, line, text)| {
            let tests: Vec<String> =
                text.split_once("— proved by ").map_or(Vec::new(), |(_, names)| {
                    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
                });
            let pending =
                text.split_once("— not yet tested: ").is_some_and(|(_, why)| !why.is_empty());
            if pending != tests.is_empty() {
                return Err(format!(
                    "ARCHITECTURE.md:{line}: ends neither with \"— proved by `TEST`\" nor with \
                     \"— not yet tested: REASON\""
                ));
            }
            Ok((number, line, tests))
        })
        .collect()
}

#[test]
fn every_invariant_is_proved_by_a_test_that_names_it_or_says_why_not() {
    let listed = invariants(&read("ARCHITECTURE.md")).unwrap_or_else(|e| panic!("{e}"));
    let mut found = Vec::new();
    for (index, (number, line, _)) in listed.iter().enumerate() {
        if usize::try_from(*number) != Ok(index + 1) {
            found.push(format!("ARCHITECTURE.md:{line}: invariant {number} is out of order"));
        }
    }
    let mut named: BTreeMap<u32, Vec<(String, String)>> = BTreeMap::new();
    for file in rust_files() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(list) = line.trim().strip_prefix("// invariant ") else { continue };
            // A mark is numbers only; a comment that goes on in words is a comment.
            if list.contains(|c: char| !(c.is_ascii_digit() || matches!(c, ',' | ' '))) {
                continue;
            }
            let place = format!("{}:{}", file.path, index + 1);
            let below: Vec<&str> = lines[index + 1..].iter().take(6).map(|l| l.trim()).collect();
            let is_test =
                below.iter().any(|l| l.starts_with("#[test]") || l.starts_with("#[tokio::test"));
            let name = below.iter().find_map(|l| {
                let l = l.trim_start_matches("async ").strip_prefix("fn ")?;
                l.split('(').next()
            });
            let Some(name) = name.filter(|_| is_test) else {
                found.push(format!("{place}: no test follows within six lines"));
                continue;
            };
            for number in list.split([',', ' ']).filter(|n| !n.is_empty()) {
                match number.parse() {
                    Ok(n) if listed.iter().any(|(known, _, _)| *known == n) => {
                        named.entry(n).or_default().push((name.to_owned(), place.clone()));
                    }
                    Ok(_) | Err(_) => found.push(format!("{place}: no invariant {number:?}")),
                }
            }
        }
    }
    for (number, line, proofs) in listed {
        let marked = named.get(&number).map_or(&[][..], Vec::as_slice);
        if let (true, Some((name, place))) = (proofs.is_empty(), marked.first()) {
            found.push(format!(
                "ARCHITECTURE.md:{line}: invariant {number} says \"not yet tested\", but {place} \
                 marks `{name}`"
            ));
        }
        for proof in proofs.iter().filter(|proof| !marked.iter().any(|(name, _)| name == *proof)) {
            found.push(format!(
                "ARCHITECTURE.md:{line}: invariant {number} names `{proof}`, which no mark stands above"
            ));
        }
    }
    none(
        &found,
        "put `// invariant N` above the test that proves it, and keep ARCHITECTURE.md true",
    );
}

/// The faults that `docs/fault-matrix.md` must have a row for.
const FAULTS: &str = "N1 N2 N3 N4 N5 N6 N7 N8 N9 N10 N11 C1 C2 C3 T1 T2 T3 T4 P1 P2 P3 P4 P5 P6 M1 M2 M3 M4 M5 \
    A1 A2 U1 U2 R1";

#[test]
fn every_fault_of_the_matrix_names_a_test_that_exists_or_says_why_there_is_none() {
    let path = "docs/fault-matrix.md";
    let mut tests: BTreeSet<String> = BTreeSet::new();
    for file in rust_files() {
        let code = file.code();
        for (at, _) in code.match_indices("fn ") {
            let name: String = code[at + 3..].chars().take_while(|c| is_word(*c)).collect();
            tests.insert(name);
        }
    }
    let (mut rows, mut found) = (BTreeSet::new(), Vec::new());
    for (number, line) in read(path).lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_row = line.starts_with('|') && cells.len() == 5 && !matches!(cells[0], "#" | "---");
        if !is_row {
            continue;
        }
        let (place, shown) = (format!("{path}:{}", number + 1), cells[4]);
        if !rows.insert(cells[0].to_owned()) {
            found.push(format!("{place}: {} stands twice", cells[0]));
        }
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        for name in named.iter().filter(|name| !tests.contains(**name)) {
            found.push(format!("{place}: no test `{name}`"));
        }
        let reason = ["open: ", "not here: "]
            .iter()
            .any(|word| shown.split_once(word).is_some_and(|(_, why)| why.len() > 10));
        let is_script = shown.contains('/') && root().join(shown).is_file();
        if named.is_empty() && !reason && !is_script {
            found.push(format!("{place}: names no test and no reason"));
        }
    }
    for fault in FAULTS.split_whitespace().filter(|fault| !rows.contains(*fault)) {
        found.push(format!("{path}: no row for {fault}"));
    }
    none(&found, "name the test in the last column, or say open: … or not here: … with the reason");
}

#[test]
fn no_file_is_longer_than_one_can_read() {
    let found: Vec<String> = rust_files()
        .iter()
        .filter(|file| file.text.lines().count() > LINES_MAX)
        .map(|file| format!("{}:1: {} lines", file.path, file.text.lines().count()))
        .collect();
    none(&found, "split it by what it knows; 100 to 400 lines is the aim");
}

#[test]
fn every_select_is_biased() {
    let mut found = Vec::new();
    for file in rust_files() {
        let code = file.code();
        for (at, _) in code.match_indices("select!") {
            let body = code[at + "select!".len()..].trim_start();
            let body = body.strip_prefix(['{', '(']).unwrap_or(body).trim_start();
            if !body.starts_with("biased;") {
                found.push(format!("{}:{}", file.path, line_of(&code, at)));
            }
        }
    }
    none(&found, "begin it with `biased;`, the stop first: else the order is drawn at random");
}

// invariant 11
#[test]
fn the_real_clock_is_read_only_where_the_clock_port_is_implemented() {
    let clocks = ["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"];
    let mut found = Vec::new();
    for file in rust_files() {
        let code = file.shipped();
        if code.contains(" Clock for ") {
            continue; // an implementor of gateway::ports::Clock
        }
        for word in clocks.iter().chain(&["std::time::Instant"]) {
            found.extend(places(&file.path, &code, word));
        }
    }
    none(&found, "ask ports::Clock for wall time, tokio::time::Instant for durations");
}

// invariant 11
#[test]
fn lines_reach_the_wire_only_through_their_transport() {
    let mut found = Vec::new();
    for file in rust_files().iter().filter(|file| file.path.starts_with("drivers/src/")) {
        if file.path == "drivers/src/transport.rs" || file.path.starts_with("drivers/src/sim/") {
            continue;
        }
        for word in ["TcpStream", "TcpListener", "UdpSocket", "SerialStream", "std::fs", "File::"] {
            found.extend(places(&file.path, &file.shipped(), word));
        }
    }
    none(
        &found,
        "open it in drivers/src/transport.rs, behind Connect: the simulation brings its own",
    );
}

// invariant 10
#[test]
fn no_channel_is_without_a_bound() {
    let mut found = Vec::new();
    for file in rust_files() {
        let code = file.code();
        for word in ["unbounded_channel", "unbounded(", "mpsc::channel()"] {
            found.extend(places(&file.path, &code, word));
        }
    }
    none(
        &found,
        "use channel(limits::…) and say in gateway/src/limits.rs what happens when it is full",
    );
}

#[test]
fn nothing_is_left_for_later_in_code() {
    let mut found = Vec::new();
    for file in rust_files() {
        let code = file.code();
        for word in ["todo!", "unimplemented!", "dbg!"] {
            found.extend(places(&file.path, &code, word));
        }
        for (at, _) in code.match_indices("#[ignore").chain(code.match_indices("#[should_panic")) {
            found.push(format!("{}:{}: {}", file.path, line_of(&code, at), &code[at..at + 8]));
        }
    }
    none(&found, "finish it, or take it out; a test that does not run proves nothing");
}

#[test]
fn no_test_waits_on_real_time() {
    let mut found = Vec::new();
    for file in rust_files() {
        let code = file.code();
        // The demo's clock holds paused time to real time; the harness looks at real processes.
        if !code.contains(" Clock for ") && !file.path.starts_with("tests/src/") {
            found.extend(places(&file.path, &code, "thread::sleep"));
        }
        // tests/src is the harness: it may poll for a condition. Elsewhere tokio's sleep stands in
        // paused time.
        let is_harness = file.path.starts_with("tests/src/");
        let tests = match test_module(&code) {
            _ if is_harness
                || file.text.contains("start_paused = true")
                || file.text.contains(".start_paused(true)") =>
            {
                ""
            }
            _ if file.is_test() => code.as_str(),
            Some(at) => &code[at..],
            None => "",
        };
        let offset = code.len() - tests.len();
        for (at, _) in tests.match_indices("sleep(") {
            found.push(format!("{}:{}: sleep", file.path, line_of(&code, offset + at)));
        }
    }
    none(&found, "wait on a condition, or pause time: #[tokio::test(start_paused = true)]");
}

#[test]
fn decisions_have_numbers_of_their_own_and_the_same_parts() {
    let parts = [
        "- Date: ",
        "- Status: ",
        "## Situation",
        "## Weighed",
        "## Decision",
        "## What would change our mind",
    ];
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    let mut found = Vec::new();
    for file in files(|path| path.starts_with("docs/adr/") && path.ends_with(".md")) {
        let name = file.path.trim_start_matches("docs/adr/");
        let number: String = name.chars().take_while(char::is_ascii_digit).collect();
        if number.len() != 4 || !name[4..].starts_with('-') {
            found.push(format!("{}:1: not named NNNN-title.md", file.path));
        } else if let Some(other) = numbers.insert(number, file.path.clone()) {
            found.push(format!("{}:1: has the number of {other}", file.path));
        }
        for part in parts {
            if !file.text.lines().any(|line| line.starts_with(part)) {
                found.push(format!("{}:1: no {part:?}", file.path));
            }
        }
    }
    none(&found, "take the next free number, and keep the parts of docs/adr/0001");
}

#[test]
fn no_release_takes_a_planted_bug() {
    let guard = "not(debug_assertions)";
    for path in ["gateway/src/lib.rs", "rules/src/lib.rs"] {
        let text = read(path);
        let guarded = text.contains(guard) && text.contains("compile_error!");
        assert!(guarded, "{path}: a canary must not compile without debug assertions");
    }
    let builds = |path: &str| {
        let folder = ["scripts/", "packaging/", "cross/", "gateway/Cargo.toml", "tests/Cargo.toml"];
        folder.iter().any(|begin| path.starts_with(begin))
    };
    let mut found = Vec::new();
    for file in files(builds) {
        for (number, line) in file.text.lines().enumerate() {
            let is_definition = line.starts_with("canary-");
            if (line.contains("canary-") && !is_definition)
                || line.starts_with("default = [\"canary")
            {
                found.push(format!("{}:{}: {line}", file.path, number + 1));
            }
        }
    }
    none(&found, "only .ci/run builds a canary, and without --release");
}

#[test]
fn every_device_profile_brings_its_own_vectors() {
    let profiles = files(|path| path.starts_with("drivers/profiles/") && path.ends_with(".toml"));
    assert!(!profiles.is_empty(), "drivers/profiles/ is empty");
    let found: Vec<String> = profiles
        .iter()
        .filter(|file| !file.text.lines().any(|line| line == "[[vector]]"))
        .map(|file| format!("{}:1: no [[vector]]", file.path))
        .collect();
    none(
        &found,
        "add a [[vector]] with request, response and expected values, captured or documented",
    );
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    // Put together here, so that this file does not find itself.
    let folders = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for file in files(|path| path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            for folder in folders.iter().filter(|folder| line.contains(folder.as_str())) {
                let before = line.split(folder.as_str()).next().unwrap_or("");
                let is_part =
                    before.ends_with(|c: char| is_word(c) || matches!(c, '.' | '}' | ')'));
                if !is_part {
                    found.push(format!("{}:{}: {folder}", file.path, number + 1));
                }
            }
        }
    }
    none(&found, "name it relative to the workspace, or let the caller say it");
}

#[test]
fn every_source_file_is_reached_as_a_module() {
    let sources: BTreeMap<String, String> =
        rust_files().into_iter().map(|file| (file.path.clone(), file.code())).collect();
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut next: Vec<(String, bool)> = sources
        .keys()
        .filter(|path| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let target = ["/tests", "/examples", "/benches", "/fuzz_targets"];
            (folder.ends_with("/src") && (name == "lib.rs" || name == "main.rs"))
                || folder.ends_with("/src/bin")
                || target.iter().any(|t| folder.ends_with(t) && !folder.contains("/src/"))
        })
        .map(|path| (path.clone(), true))
        .collect();
    while let Some((path, is_root)) = next.pop() {
        if !sources.contains_key(&path) || !reached.insert(path.clone()) {
            continue;
        }
        let (folder, name) = path.rsplit_once('/').expect("every source lies in a folder");
        let stem = name.trim_end_matches(".rs");
        let folder = if is_root || name == "mod.rs" {
            folder.to_owned()
        } else {
            format!("{folder}/{stem}")
        };
        // `#[path = "x.rs"]` counts from the file's own folder; literals are blank in the code.
        let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for named in read(&path).lines().filter_map(|l| l.trim().strip_prefix("#[path = \"")) {
            let named = named.trim_end_matches("\"]");
            let (beside, named) = match named.strip_prefix("../") {
                Some(named) => (beside.rsplit_once('/').map_or("", |(above, _)| above), named),
                None => (beside, named),
            };
            next.push((format!("{beside}/{named}"), false));
        }
        for line in sources[&path].lines() {
            let words: Vec<&str> = line.trim().trim_end_matches(';').split(' ').collect();
            if !line.trim_end().ends_with(';') {
                continue;
            }
            if let [.., "mod", module] = words.as_slice() {
                for candidate in
                    [format!("{folder}/{module}.rs"), format!("{folder}/{module}/mod.rs")]
                {
                    if sources.contains_key(&candidate) {
                        next.push((candidate, false));
                    }
                }
            }
        }
    }
    let found: Vec<String> =
        sources.keys().filter(|path| !reached.contains(*path)).map(|p| format!("{p}:1")).collect();
    none(&found, "declare it with `mod`, or delete it: nobody compiles it");
}

#[test]
fn every_ban_and_every_exception_has_a_reason() {
    let mut found = Vec::new();
    for path in ["clippy.toml", "deny.toml"] {
        let text = read(path);
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let is_entry =
                ["{ path = ", "{ crate = ", "{ id = "].iter().any(|e| line.trim().starts_with(e));
            if is_entry && !line.contains("reason = \"") && !before.trim().starts_with('#') {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
            before = line;
        }
    }
    none(&found, "add reason = \"…\" that says what to use instead, or why it is allowed");
}

/// The first mark of a Chinese line that is none of Chinese: `表,`, `: 元`, `， `.
fn foreign_mark(line: &str) -> Option<String> {
    // A form that is typed or read as it stands here.
    let line = ["地址:端口", "金额(元)", "金额(元)"]
        .iter()
        .fold(line.to_owned(), |l, as_is| l.replace(as_is, "x"));
    let letters: Vec<char> = line.chars().collect();
    let han = |c: Option<&char>| c.is_some_and(|c| ('\u{4e00}'..='\u{9fff}').contains(c));
    letters.iter().enumerate().find_map(|(at, mark)| {
        let (before, after) =
            (at.checked_sub(1).and_then(|at| letters.get(at)), letters.get(at + 1));
        let blank = |c: Option<&char>| c == Some(&' ');
        let wrong = match mark {
            ',' | ';' | ':' | '!' | '?' | '(' | ')' => {
                han(before) || han(after) || (blank(after) && han(letters.get(at + 2)))
            }
            '，' | '。' | '；' | '：' | '！' | '？' | '（' | '）' | '、' => {
                blank(before) || blank(after)
            }
            _ => false,
        };
        let around = letters.get(at.saturating_sub(8)..letters.len().min(at + 9));
        wrong.then(|| around.unwrap_or_default().iter().collect())
    })
}

#[test]
fn chinese_texts_have_chinese_marks() {
    for (line, wrong) in [
        ("\"这块表的读数不可信,已挂起。\"", true),
        ("\"金额: 元\"", true),
        ("\"好， 再来。\"", true),
        ("\"用户（{name}），第 1,024 户\", \"user\", (\"好\", 1)", false),
        ("\"网口写 地址:端口；\"", false),
    ] {
        assert_eq!(foreign_mark(line).is_some(), wrong, "{line}");
    }
    let source = |path: &str| {
        ["gateway/src/", "rules/src/", "drivers/src/"].iter().any(|f| path.starts_with(f))
            && (path.ends_with(".rs") || path.ends_with(".js"))
    };
    let rules = |path: &str| {
        ["rules/tariffs/", "rules/anomalies/"].iter().any(|f| path.starts_with(f))
            && path.ends_with(".toml")
    };
    let spoken = |path: &str| source(path) || rules(path);
    let mut found = Vec::new();
    for file in files(spoken).into_iter().filter(|file| !file.is_test()) {
        let end = test_module(&file.code()).unwrap_or(file.text.len());
        let text = file.text.get(..end).unwrap_or(&file.text);
        let lines = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"));
        for (n, line) in lines {
            if let Some(around) = foreign_mark(line) {
                found.push(format!("{}:{}: {around}", file.path, n + 1));
            }
        }
    }
    none(&found, "write ，；：！？（） in Chinese, without blanks around them");
}

#[test]
fn what_the_documents_point_to_exists() {
    let root = root();
    let mut found = Vec::new();
    for file in files(|path| path.ends_with(".md")) {
        let folder = root.join(&file.path).parent().map(Path::to_path_buf).unwrap_or_default();
        let mut in_commands = false;
        for (number, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.path, number + 1);
            if let Some(language) = line.trim().strip_prefix("```") {
                in_commands = !in_commands && matches!(language, "sh" | "bash" | "console");
                continue;
            }
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or("");
                let is_local = !target.is_empty() && !target.contains("://") && !in_commands;
                if is_local && !target.starts_with("mailto:") && !folder.join(target).exists() {
                    found.push(format!("{place}: {target}"));
                }
            }
            let command = line.trim().trim_start_matches("$ ").split(' ').next().unwrap_or("");
            let is_ours = command.contains('/') && !command.starts_with(['/', '~', '<', '#']);
            if in_commands && is_ours && !command.starts_with("target/") {
                let script = command.trim_start_matches("./");
                if !root.join(script).is_file() {
                    found.push(format!("{place}: {command}"));
                }
            }
        }
    }
    none(&found, "a document that points to nothing sends its reader away: mend the link");
}

#[test]
fn the_unit_lets_the_daemon_see_whether_the_clock_is_set() {
    let unit = read("systemd/blockgate.service");
    let filters: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    let allowed = |list: &str| !list.starts_with('~') && list.split(' ').any(|c| c == "adjtimex");
    let asked = filters.iter().rposition(|list| allowed(list));
    let forbidden = filters.iter().rposition(|list| list.contains("@privileged"));
    assert!(asked > forbidden, "@privileged forbids adjtimex: {filters:?}");
    assert!(!unit.lines().any(|line| line == "ProtectClock=yes"), "it forbids adjtimex");
}

#[test]
fn the_unit_gives_an_ordered_stop_the_time_that_it_needs() {
    use blockgate::limits;
    let unit = read("systemd/blockgate.service");
    let seconds = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec="))
        .and_then(|text| text.parse::<u64>().ok())
        .expect("systemd/blockgate.service: TimeoutStopSec= in whole seconds");
    let needs = limits::DOORS_STOP_MAX
        + limits::LINES_STOP_MAX
        + limits::ENGINE_STOP_MAX
        + limits::OUTBOX_STOP_MAX
        + limits::LOG_FLUSH_MAX;
    assert!(
        needs.as_secs() < seconds,
        "systemd/blockgate.service: TimeoutStopSec={seconds}, but the stop may take {needs:?}"
    );
}
