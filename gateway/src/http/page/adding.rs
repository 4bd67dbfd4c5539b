//! What a scan found becomes meters: one tap for each, or one for all. It is written beside the config,
//! checked as a whole before it counts, told to the journal, and taken over by a reload ([`crate::upkeep`]).

use super::forms::Reader;
use super::text::Say;
use super::{Act, Outcome, Page};
use crate::config::added::{self, NewLine, NewMeter};
use crate::config::{Config, FileFault};
use crate::http::answer::Desk;
use crate::http::auth::{Caller, Person};
use crate::problem::{Code, Problem};
use crate::scans::{Finds, speed_text};
use crate::upkeep::NotAdded;
use blockgate_drivers::profile::{Profile, SerialDefaults};
use blockgate_drivers::scan::Found;
use blockgate_drivers::transport::Target;
use blockgate_drivers::{Address, Protocol};
use blockgate_rules::event::Upkeep;
use blockgate_types::{LineId, MeterId, ScanId};
use maud::{Markup, html};

/// Faults of the config that a note names.
const FAULTS_SHOWN: usize = 5;

/// A profile's choices for a device that matched none: those of its protocol.
fn choices(desk: &Desk, protocol: Protocol) -> Vec<String> {
    let shipped = Profile::shipped().filter(|p| p.protocol() == protocol).map(|p| p.id.clone());
    let used = desk.shared.board.meters();
    let own = used.values().map(|meter| meter.profile.clone());
    let own = own.chain(desk.shared.upkeep.own_profiles(protocol));
    let mut all: Vec<String> = shipped.chain(own).filter(|id| !id.is_empty()).collect();
    all.sort();
    all.dedup();
    all
}

/// The control of a found device: its name and the tap; nothing where it cannot be added.
pub(super) fn one(
    desk: &Desk,
    page: &Page<'_>,
    scan: &ScanId,
    (nth, found): (usize, &Found),
    finds: &Finds,
) -> Markup {
    let say = page.view.say;
    let taken = desk.shared.board.meters();
    let line = finds.line.clone().or_else(|| LineId::new("line-1").ok());
    let id =
        line.and_then(|line| added::meter_id(&line, found.address, |id| taken.contains_key(id)));
    drop(taken);
    let mine = page.typed.is("nth", &nth.to_string());
    let proposed = id.map_or_else(String::new, |id| id.to_string());
    let typed = page.typed.value("meter_id").filter(|_| mine).unwrap_or(&proposed);
    let field = format!("meter-{nth}");
    html! {
        (page.form_of(&format!("/scan/{scan}/add"), ("nth", &nth.to_string()), || html! {
            div.row {
                label for=(field) { (say.meter_name()) " " span.mono { (found.address) }
                    input id=(field) name="meter_id" type="text" value=(typed) required autocomplete="off" autocapitalize="none" maxlength="64";
                }
                @if found.profile.is_none() { (profile(desk, say, found.address.protocol(), "")) }
                button.button type="submit" { (say.add()) }
            }
        }))
    }
}

fn profile(desk: &Desk, say: Say, protocol: Protocol, chosen: &str) -> Markup {
    html! {
        label { (say.profile())
            select name="profile" required {
                option value="" { "–" }
                @for id in choices(desk, protocol) { option value=(id) selected[id == chosen] { (id) } }
            }
        }
    }
}

/// One tap for everything that is new.
pub(super) fn all(desk: &Desk, page: &Page<'_>, scan: &ScanId, new: &[&Found]) -> Markup {
    let say = page.view.say;
    let unknown = new.iter().find(|found| found.profile.is_none());
    html! {
        (page.form(&format!("/scan/{scan}/add-all"), || html! {
            div.row {
                @if let Some(found) = unknown { (profile(desk, say, found.address.protocol(), "")) }
                button.button type="submit" { (say.fill(say.add_all(), &[&new.len().to_string()])) }
            }
            p.small.mute { (say.add_why()) }
        }))
    }
}

/// What is to be added, from a form.
struct Wish {
    /// Which device; all new ones where there is none.
    only: Option<usize>,
    id: Option<MeterId>,
    profile: String,
    finds: Finds,
    say: Say,
}

/// Adds.
///
/// # Errors
/// [`Code::Forbidden`], [`Code::NotFound`].
pub(super) async fn act(
    desk: &Desk,
    page: &Page<'_>,
    person: &Person,
    act: &Act,
    mut read: Reader<'_>,
) -> Result<Outcome, Problem> {
    let say = page.view.say;
    if !super::lines::installs(page) {
        return Err(Problem::new(Code::Forbidden, "a scan is for the installer"));
    }
    let (Act::AddFound(id) | Act::AddAllFound(id)) = act else { return Err(Code::NotFound.into()) };
    let finds = desk.shared.scans.finds(id).ok_or(Code::NotFound)?;
    let mut wish = Wish { only: None, id: None, profile: read.text("profile"), finds, say };
    if matches!(act, Act::AddFound(_)) {
        wish.only = read.parsed("nth");
        wish.id = read.parsed("meter_id");
        let known = wish.only.and_then(|nth| wish.finds.found.get(nth));
        let is = known.and_then(|found| wish.finds.known.get(&found.address));
        if let (Some(is), Some(wanted)) = (is, &wish.id)
            && is != wanted
        {
            let text = say.fill(say.found_is_known(), &[is.as_str(), wanted.as_str()]);
            return Ok(again(read, text));
        }
        if known.is_none_or(|found| wish.finds.known.contains_key(&found.address)) {
            // The second press of the same button, or a list that has grown old.
            return Ok(Outcome::Done(say.added_before().to_owned(), act.screen().path()));
        }
        if !read.is_good() {
            let why = read.first_fault().unwrap_or_default();
            let text = format!("{} {why}", say.not_added());
            return Ok(again(read, text));
        }
    }
    let upkeep = desk.shared.upkeep.clone();
    let added = tokio::task::spawn_blocking(move || {
        let mut chosen = Chosen::default();
        let config = upkeep.add(|config| {
            chosen = wish.choose(config)?;
            Ok((chosen.line.clone(), chosen.meters.clone()))
        });
        (config, chosen)
    });
    let (config, chosen) = added.await.map_err(|_| Code::Internal)?;
    let config = match config {
        Ok(config) => config,
        Err(why) => return Ok(again(read, say.why_not_added(&why))),
    };
    let pairs: Vec<(Address, MeterId)> =
        chosen.meters.iter().map(|m| (m.address, m.id.clone())).collect();
    desk.shared.scans.added(id, &pairs);
    let meters: Vec<MeterId> = pairs.into_iter().map(|(_, id)| id).collect();
    let names: Vec<&str> = meters.iter().map(MeterId::as_str).collect();
    let mut text = say.fill(say.added(), &[&names.join(", ")]);
    if !chosen.left.is_empty() {
        text = format!("{text} {} {}", say.not_added(), chosen.left.join(" "));
    }
    if let Some(line) = chosen.meters.first().map(|meter| meter.line.clone()) {
        let by = Caller::Person(person.clone()).actor();
        let did = Upkeep::MetersAdded { line, meters, config_hash: config.hash };
        desk.shared.tell(by, did).await;
    }
    desk.shared.upkeep.ask();
    Ok(Outcome::Done(text, act.screen().path()))
}

fn again(read: Reader<'_>, text: String) -> Outcome {
    Outcome::Again(read.typed(false), Some(super::Note { good: false, text }))
}

/// What of a wish can be done.
#[derive(Default)]
struct Chosen {
    line: Option<NewLine>,
    meters: Vec<NewMeter>,
    /// Why the others stay.
    left: Vec<String>,
}

impl Wish {
    fn choose(&self, config: &Config) -> Result<Chosen, NotAdded> {
        let mut chosen = Chosen::default();
        // By the config as it stands now: another tap may have made the line meanwhile.
        let same = |target: &Target| match (target, &self.finds.target) {
            (Target::Serial { path: one, .. }, Target::Serial { path: other, .. }) => one == other,
            (Target::Tcp { .. }, Target::Tcp { .. }) => *target == self.finds.target,
            (Target::Serial { .. }, Target::Tcp { .. })
            | (Target::Tcp { .. }, Target::Serial { .. }) => false,
        };
        let wanted: Vec<&Found> = match self.only {
            Some(nth) => self.finds.found.get(nth).into_iter().collect(),
            None => self.finds.found.iter().collect(),
        };
        let known = config.lines.iter().find(|(id, line)| match &self.finds.line {
            Some(wanted) => *id == wanted,
            None => same(&line.target),
        });
        let (line, speed) = match known {
            Some((id, line)) => (id.clone(), speed_of(&line.target)),
            None => {
                let id = added::line_id(config).ok_or_else(|| said(self.say.no_free_name()))?;
                let speed = wanted.first().and_then(|found| found.speed);
                let target = self.finds.target.clone();
                chosen.line = Some(NewLine { id: id.clone(), target, speed });
                (id, speed)
            }
        };
        for found in wanted {
            let here = |meter: &crate::config::MeterConfig| {
                meter.line == line && meter.address == found.address
            };
            if config.meters.values().any(here) {
                continue;
            }
            match self.meter(config, &chosen, &line, speed, found) {
                Ok(meter) => chosen.meters.push(meter),
                Err(why) => chosen.left.push(format!("{}: {why}", found.address)),
            }
        }
        if chosen.meters.is_empty() {
            let left = chosen.left.join(" ");
            return Err(said(if left.is_empty() { self.say.added_before() } else { &left }));
        }
        Ok(chosen)
    }

    /// The meter of a device, or why it cannot be one.
    fn meter(
        &self,
        config: &Config,
        chosen: &Chosen,
        line: &LineId,
        speed: Option<SerialDefaults>,
        found: &Found,
    ) -> Result<NewMeter, String> {
        let say = self.say;
        if let (Some(own), Some(line)) = (found.speed, speed)
            && own != line
        {
            return Err(say.fill(say.other_speed(), &[&speed_text(own), &speed_text(line)]));
        }
        let id = found.profile.clone().unwrap_or_else(|| self.profile.clone());
        let profile = config.profiles.get(&id).ok_or_else(|| say.choose_profile().to_owned())?;
        let (is, wants) = (profile.protocol(), found.address.protocol());
        if is != wants {
            return Err(say.fill(say.other_protocol(), &[is.text(), wants.text()]));
        }
        let max_per_hour = match config.max_per_hour {
            Some(_) => None,
            None => Some(added::usual_most(profile).ok_or_else(|| say.no_most().to_owned())?),
        };
        let taken = |id: &MeterId| {
            config.meters.contains_key(id) || chosen.meters.iter().any(|m| m.id == *id)
        };
        let own = self.id.clone();
        let id = own.or_else(|| added::meter_id(line, found.address, taken));
        Ok(NewMeter {
            id: id.ok_or_else(|| say.no_free_name().to_owned())?,
            line: line.clone(),
            address: found.address,
            profile: profile.id.clone(),
            max_per_hour,
            what: found.what.clone(),
        })
    }
}

fn said(text: &str) -> NotAdded {
    NotAdded::Why(text.to_owned())
}

fn speed_of(target: &Target) -> Option<SerialDefaults> {
    match target {
        Target::Serial { baud, data_bits, parity, stop_bits, .. } => {
            let (baud, data_bits) = (*baud, *data_bits);
            let (parity, stop_bits) = (*parity, *stop_bits);
            Some(SerialDefaults { baud, data_bits, parity, stop_bits })
        }
        Target::Tcp { .. } => None,
    }
}

impl Say {
    /// Why nothing was added, in one note.
    fn why_not_added(self, why: &NotAdded) -> String {
        let what = match why {
            NotAdded::NoFile => self.no_config_file().to_owned(),
            NotAdded::Why(text) => text.clone(),
            NotAdded::Io(error) => error.to_string(),
            NotAdded::Faults(faults) => {
                let shown: Vec<String> =
                    faults.iter().take(FAULTS_SHOWN).map(FileFault::to_string).collect();
                format!("{} {}", self.config_is_wrong(), shown.join(" · "))
            }
        };
        format!("{} {what}", self.not_added())
    }
}
