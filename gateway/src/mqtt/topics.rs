//! The topic tree: `blockgate/v1/{tenant}/{gateway}/…`.
//!
//! ```text
//! state            out, retained, last will
//! evt/{kind}       out, what the journal holds
//! tel/{kind}       out, live values
//! receipt          in,  the cloud's confirmation
//! cmd/{name}       in,  commands
//! rsp/{name}       out, their answers
//! ```
//!
//! Nothing but ids chosen in the config and closed words stands in a topic: no plate, name or flat.

use crate::config::Identity;

/// Longest tenant, gateway or command name.
const LEVEL_MAX: usize = 64;

/// Why a tenant or gateway cannot be a topic level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLevel(String);

impl std::fmt::Display for BadLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} cannot be part of a topic: use 1 to {LEVEL_MAX} of the characters a-z 0-9 . _ -",
            self.0
        )
    }
}

impl std::error::Error for BadLevel {}

/// What an incoming topic means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The cloud's confirmation.
    Receipt,
    /// A command of this name.
    Command(&'a str),
}

/// The topics of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

fn is_level(text: &str) -> bool {
    (1..=LEVEL_MAX).contains(&text.len())
        && text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        })
}

impl Topics {
    /// The tree of one gateway.
    ///
    /// # Errors
    /// [`BadLevel`] when the tenant or the gateway is empty or holds `/`, `+`, `#` or anything else
    /// that is not part of an id.
    pub fn new(identity: &Identity) -> Result<Self, BadLevel> {
        for level in [&identity.tenant, &identity.gateway] {
            if !is_level(level) {
                return Err(BadLevel(level.chars().take(80).collect()));
            }
        }
        Ok(Self { prefix: format!("blockgate/v1/{}/{}/", identity.tenant, identity.gateway) })
    }

    /// `blockgate/v1/{tenant}/{gateway}/`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether we are there; retained and last will.
    #[must_use]
    pub fn state(&self) -> String {
        format!("{}state", self.prefix)
    }

    /// An event of the journal.
    #[must_use]
    pub fn event(&self, kind: &str) -> String {
        format!("{}evt/{kind}", self.prefix)
    }

    /// Live values.
    #[must_use]
    pub fn live(&self) -> String {
        format!("{}tel/live", self.prefix)
    }

    /// Where a command of this name comes in.
    #[must_use]
    pub fn command(&self, name: &str) -> String {
        format!("{}cmd/{name}", self.prefix)
    }

    /// The answer to a command.
    #[must_use]
    pub fn response(&self, name: &str) -> String {
        format!("{}rsp/{name}", self.prefix)
    }

    /// Where receipts come in.
    #[must_use]
    pub fn receipt(&self) -> String {
        format!("{}receipt", self.prefix)
    }

    /// Where commands come in, as a topic filter.
    #[must_use]
    pub fn commands(&self) -> String {
        format!("{}cmd/+", self.prefix)
    }

    /// Reads an incoming topic; `None` for whatever we did not ask for.
    #[must_use]
    pub fn parse<'a>(&self, topic: &'a [u8]) -> Option<Incoming<'a>> {
        let rest = std::str::from_utf8(topic).ok()?.strip_prefix(self.prefix.as_str())?;
        if rest == "receipt" {
            return Some(Incoming::Receipt);
        }
        rest.strip_prefix("cmd/").filter(|name| is_level(name)).map(Incoming::Command)
    }

    /// The topic that answers a command: the one it asks for, if that lies below our own `rsp/`;
    /// else `rsp/{name}`. Otherwise whoever may order could make us publish anywhere.
    #[must_use]
    pub fn answer_to(&self, name: &str, asked: Option<&str>) -> String {
        let own = |topic: &&str| {
            topic
                .strip_prefix(self.prefix.as_str())
                .and_then(|rest| rest.strip_prefix("rsp/"))
                .is_some_and(|rest| rest.split('/').all(is_level) && rest.len() <= 2 * LEVEL_MAX)
        };
        match asked.filter(own) {
            Some(topic) => topic.to_owned(),
            None => self.response(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topics() -> Topics {
        Topics::new(&Identity { tenant: "t1".into(), gateway: "gw-7".into() }).unwrap()
    }

    #[test]
    fn the_tree_is_the_contract_s() {
        let t = topics();
        assert_eq!(t.state(), "blockgate/v1/t1/gw-7/state");
        assert_eq!(t.event("bill"), "blockgate/v1/t1/gw-7/evt/bill");
        assert_eq!(t.live(), "blockgate/v1/t1/gw-7/tel/live");
        assert_eq!(t.receipt(), "blockgate/v1/t1/gw-7/receipt");
        assert_eq!(t.commands(), "blockgate/v1/t1/gw-7/cmd/+");
        assert_eq!(t.response("read-now"), "blockgate/v1/t1/gw-7/rsp/read-now");
    }

    #[test]
    fn a_tenant_or_gateway_that_would_bend_the_tree_is_refused() {
        for bad in ["", "a/b", "+", "#", "A", "a b", "a\0", "äöü", &"x".repeat(65)] {
            for (tenant, gateway) in [(bad, "g"), ("t", bad)] {
                let identity = Identity { tenant: tenant.into(), gateway: gateway.into() };
                assert!(Topics::new(&identity).is_err(), "{tenant:?} {gateway:?}");
            }
        }
    }

    #[test]
    fn only_our_own_receipts_and_commands_are_taken() {
        let t = topics();
        for (topic, want) in [
            ("blockgate/v1/t1/gw-7/receipt", Some(Incoming::Receipt)),
            ("blockgate/v1/t1/gw-7/cmd/read-now", Some(Incoming::Command("read-now"))),
            ("blockgate/v1/t1/gw-7/cmd/", None),
            ("blockgate/v1/t1/gw-7/cmd/a/b", None),
            ("blockgate/v1/t1/gw-7/cmd/../receipt", None),
            ("blockgate/v1/t1/gw-7/cmd/+", None),
            ("blockgate/v1/t1/gw-7/cmd/A", None),
            ("blockgate/v1/t1/gw-7/receipt/", None),
            ("blockgate/v1/t1/gw-7/evt/bill", None),
            ("blockgate/v1/t1/gw-70/receipt", None),
            ("blockgate/v1/t2/gw-7/receipt", None),
            ("x/blockgate/v1/t1/gw-7/receipt", None),
            ("", None),
        ] {
            assert_eq!(t.parse(topic.as_bytes()), want, "{topic}");
        }
        assert_eq!(t.parse(b"blockgate/v1/t1/gw-7/cmd/\xff"), None);
    }

    #[test]
    fn a_response_topic_is_honoured_only_below_our_own_rsp() {
        let t = topics();
        let own = "blockgate/v1/t1/gw-7/rsp/read-now/session-3";
        assert_eq!(t.answer_to("read-now", Some(own)), own);
        for foreign in [
            "somewhere/else",
            "blockgate/v1/t1/gw-8/rsp/read-now",
            "blockgate/v1/t1/gw-7/evt/bill",
            "blockgate/v1/t1/gw-7/state",
            "blockgate/v1/t1/gw-7/rsp/",
            "blockgate/v1/t1/gw-7/rsp/#",
            "blockgate/v1/t1/gw-7/rsp/../evt/bill/+",
            "$SYS/x",
            "",
        ] {
            assert_eq!(
                t.answer_to("read-now", Some(foreign)),
                "blockgate/v1/t1/gw-7/rsp/read-now",
                "{foreign}"
            );
        }
        assert_eq!(t.answer_to("read-now", None), "blockgate/v1/t1/gw-7/rsp/read-now");
    }

    proptest! {
        #[test]
        fn any_bytes_as_a_topic_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let t = topics();
            prop_assert_eq!(t.parse(&bytes), None);
            let mut ours = t.prefix().as_bytes().to_vec();
            ours.extend_from_slice(&bytes);
            if let Some(Incoming::Command(name)) = t.parse(&ours) {
                prop_assert!(is_level(name));
            }
        }

        #[test]
        fn an_answer_never_leaves_our_rsp(asked in ".{0,80}", below in "[a-z0-9/+#.-]{0,40}") {
            let t = topics();
            for asked in [asked, format!("{}rsp/{below}", t.prefix())] {
                let answer = t.answer_to("x", Some(&asked));
                let ours = format!("{}rsp/", t.prefix());
                prop_assert!(answer.starts_with(&ours));
                prop_assert!(!answer.contains(['+', '#']));
            }
        }
    }
}
