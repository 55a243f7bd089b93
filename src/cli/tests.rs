//! The command line's definition, and what it says of itself.

use std::path::Path;

use super::*;

/// Where every help text is kept, as a terminal of 80 columns shows it.
const HELP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/help.txt");

/// Widest line that a help text may have.
const COLUMNS: usize = 80;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

/// Every command with the words that lead to it.
fn walk(command: &clap::Command, words: &str, see: &mut dyn FnMut(&clap::Command, &str)) {
    see(command, words);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        walk(below, &format!("{words} {}", below.get_name()), see);
    }
}

fn rendered(command: &clap::Command) -> String {
    let help = command.clone().term_width(COLUMNS).render_long_help().to_string();
    // An empty line with blanks in it is an empty line.
    help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn every_help() -> String {
    let mut command = Cli::command().term_width(COLUMNS);
    command.build();
    let mut all = String::new();
    walk(&command, "mesh", &mut |command, words| {
        all.push_str(&format!("$ {words} --help\n{}\n\n", rendered(command)));
    });
    all
}

#[test]
fn every_command_says_what_it_does_within_80_columns() {
    let mut command = Cli::command().term_width(COLUMNS);
    command.build();
    walk(&command, "mesh", &mut |command, words| {
        assert!(command.get_about().is_some(), "{words} does not say what it does");
        let help = rendered(command);
        let wide = help.lines().find(|line| line.chars().count() > COLUMNS);
        assert_eq!(wide, None, "in the help of {words}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{words}: {} says nothing", argument.get_id());
        }
    });
}

#[test]
fn help_texts_are_those_that_were_read() {
    let kept = std::fs::read_to_string(HELP).unwrap_or_default();
    let now = every_help();
    let mut lines = kept.lines().zip(now.lines()).enumerate();
    let first = lines.find(|(_, (kept, now))| kept != now).map(|(number, (kept, now))| (number + 1, kept, now));
    assert_eq!(first, None, "line, before and now: if it is meant, `cargo test --lib regenerate -- --ignored`");
    assert_eq!(kept.len(), now.len(), "{HELP} is not current: `cargo test --lib regenerate -- --ignored`");
}

#[test]
#[ignore = "writes tests/help.txt"]
fn regenerate() {
    std::fs::write(Path::new(HELP), every_help()).unwrap();
}
