//! The outbox: what the cloud has not confirmed, and what it refused.

use super::forms::Reader;
use super::system::section;
use super::{Page, overview};
use crate::http::answer::{Answered, Desk};
use crate::limits;
use blockgate_rules::input::Order;
use maud::html;

/// The page.
pub(super) fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let board = *desk.shared.board.outbox();
    let mqtt = desk.shared.board.mqtt().clone();
    let dead = desk.shared.outbox.dead(None, limits::HTTP_ROWS_MAX).unwrap_or_else(|fault| {
        tracing::error!(%fault, "the dead letters cannot be read");
        Vec::new()
    });
    let retries = page.may(&Order::RetryDeadLetter { seq: 0 });
    Ok(page.framed(
        say.outbox(),
        true,
        html! {
            div.head { h1.grow { (say.outbox()) } }
            (section(page))
            p.mute { (say.outbox_why()) }
            div.grid {
                div.card.stat {
                    span.name { (say.waiting()) }
                    span.big data-overview="waiting" { (board.waiting) }
                    span.mute.small {
                        @match board.oldest {
                            Some(at) => { (say.oldest()) " " (view.ago(at)) },
                            None if board.waiting == 0 => (say.nothing_waits()),
                            None => {}, // looked for about once a second
                        }
                    }
                }
                (overview::cloud(view, &mqtt))
            }
            section.card {
                dl.wide-list {
                    dt { (say.waiting_bills()) } dd { (board.bills) }
                    dt { (say.acknowledged()) } dd { (board.acknowledged) }
                    dt { (say.through()) } dd { (board.through) }
                    dt { (say.last_receipt()) }
                    dd { @match mqtt.last_receipt { Some(at) => (view.time(at)), None => (say.never()) } }
                }
            }
            section.card {
                header { h2 { (say.dead_letters()) } span.pill.bad[board.dead > 0] { (board.dead) } }
                p.mute.small { (say.dead_why()) }
                @if dead.is_empty() { p { (say.no_dead()) } } @else {
                    @if retries { p.small { (say.retry_letter_why()) } }
                    table.stack {
                        thead { tr { th { (say.seq()) } th { (say.reason()) } @if retries { th {} } } }
                        tbody {
                            @for letter in &dead {
                                @let seq = letter.seq.to_string();
                                tr {
                                    td.lead.num { (seq) } td data-name=(say.reason()) { (letter.reason) }
                                    @if retries {
                                        td {
                                            (page.form_of("/outbox/retry", ("letter", &seq), || html! {
                                                button.button.second type="submit" aria-label={ (say.retry_letter()) " " (seq) } { (say.retry_letter()) }
                                            }))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}

/// The order of the form.
pub(super) fn order(read: &mut Reader<'_>) -> Option<Order> {
    Some(Order::RetryDeadLetter { seq: read.parsed("letter")? })
}
