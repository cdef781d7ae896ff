//! Who is known, who is blocked, and whose tier an operator has changed.

use super::{Page, block, output};
use crate::admin::wire::{Blocks, Known, Status, Tenants};
use crate::learn::Counts;

pub(super) fn write(status: &Status, page: &mut Page) {
    write_known(&status.known, page);
    write_blocks(&status.blocks, page);
    if let Some(tenants) = &status.tenants {
        write_tenants(tenants, page);
    }
}

fn write_known(known: &Known, page: &mut Page) {
    page.line(
        "known",
        format_args!(
            "{} prefixes: {} from files, {} from operators, {} learned",
            known.prefixes, known.from_files, known.from_operators, known.learned.known
        ),
    );
    write_learned(&known.learned, page);
    if let Some(problem) = &known.files_problem {
        page.more(format_args!(
            "FILES NOT TAKEN OVER: {}",
            output::plain(problem)
        ));
    }
}

/// What keeps customers from becoming known, or from staying so.
fn write_learned(learned: &Counts, page: &mut Page) {
    let [_, dropped, unattributed] = learned.confirmations;
    if learned.evicted > 0 {
        page.more(format_args!(
            "FULL: {} learned prefixes have left for others, as known.learn.max is {}",
            learned.evicted, learned.max
        ));
    }
    if dropped > 0 {
        page.more(format_args!(
            "{dropped} confirmations came too fast, and were dropped"
        ));
    }
    if unattributed > 0 {
        page.more(format_args!(
            "{unattributed} confirmations were of clients that a trusted proxy did not name"
        ));
    }
    if let Some(problem) = &learned.problem {
        page.more(format_args!("STORE: {}", output::plain(&problem.detail)));
    }
}

/// What an operator has set stays in sight until it is gone.
fn write_blocks(blocks: &Blocks, page: &mut Page) {
    if blocks.blocks == 0 {
        return;
    }
    page.line("blocked", format_args!("{} prefixes", blocks.blocks));
    for entry in &blocks.first {
        let said = block::end_and_reason(entry);
        page.more(format_args!("{} {said}", entry.prefix));
    }
}

fn write_tenants(tenants: &Tenants, page: &mut Page) {
    let (listed, moved) = (tenants.listed, tenants.moved);
    page.line(
        "tenants",
        format_args!("{listed} listed, {moved} moved by operators"),
    );
    for moved in &tenants.first_moved {
        let until = moved.note.until.map(output::time);
        let until = until.map_or("until it is moved again".to_owned(), |until| {
            format!("until {until}")
        });
        let name = output::plain(&moved.name);
        page.more(format_args!("{name} is in tier {} {until}", moved.tier));
    }
}
