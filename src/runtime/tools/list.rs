//! Small commands about the environment and the container's files.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::{Timestamp, tz::TimeZone};

use super::files::ROOT_VARIABLE;
use super::{Call, NOT_FOUND};

/// Directories below each other that `rm -r`, `cp -r` and `ls -R` follow.
const DEPTH: usize = 64;

/// Splits leading options (`-ab`) from the rest; `--` ends them.
pub(super) fn flags(args: &[String]) -> (String, &[String]) {
    let mut flags = String::new();
    let mut rest = args;
    while let Some((first, after)) = rest.split_first() {
        match first.strip_prefix('-') {
            Some("-") => return (flags, after),
            Some(given) if !given.is_empty() && !given.starts_with('-') => flags.push_str(given),
            Some(given) if given.starts_with('-') => {}
            _ => break,
        }
        rest = after;
    }
    (flags, rest)
}

pub(super) fn env(call: &mut Call<'_>) -> io::Result<u8> {
    let shown = |name: &str| name != ROOT_VARIABLE;
    if call.name == "printenv" && !call.args.is_empty() {
        let mut code = 0;
        for name in call.args {
            match std::env::var(name) {
                Ok(value) => writeln!(call.out, "{value}")?,
                Err(_) => code = 1,
            }
        }
        return Ok(code);
    }
    let assigned: Vec<(&str, &str)> = call.args.iter().map_while(|word| word.split_once('=')).collect();
    if let Some(command) = call.args.get(assigned.len()..).filter(|command| !command.is_empty()) {
        let mut process = call.launch.command(command, call.files);
        process.envs(assigned);
        return super::shell::wait(process.spawn()?);
    }
    for (name, value) in std::env::vars().filter(|(name, _)| shown(name)) {
        writeln!(call.out, "{name}={value}")?;
    }
    for (name, value) in assigned {
        writeln!(call.out, "{name}={value}")?;
    }
    Ok(0)
}

/// `time COMMAND`: how long it takes, as busybox says it. A process of the pod accounts for no more than that.
pub(super) fn time(call: &mut Call<'_>) -> io::Result<u8> {
    let command = call.args.strip_prefix(&["-p".to_owned()]).unwrap_or(call.args);
    if command.is_empty() {
        return call.usage(1, "expected a command");
    }
    let started = Instant::now();
    let code = super::shell::wait(call.launch.command(command, call.files).spawn()?)?;
    let took = started.elapsed();
    let (minutes, seconds) = (took.as_secs() / 60, took.as_secs() % 60);
    writeln!(call.err, "real\t{minutes}m {seconds}.{:02}s\nuser\t0m 0.00s\nsys\t0m 0.00s", took.subsec_millis() / 10)?;
    Ok(code)
}

pub(super) fn sleep(call: &mut Call<'_>) -> io::Result<u8> {
    let mut total = Duration::ZERO;
    for word in call.args {
        if matches!(word.as_str(), "infinity" | "inf") {
            loop {
                std::thread::park();
            }
        }
        let (number, unit) = match word.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => word.split_at(at),
            None => (word.as_str(), "s"),
        };
        let factor = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return call.usage(1, format_args!("invalid number '{word}'")),
        };
        let seconds = number.parse::<f64>().ok().map(|number| Duration::try_from_secs_f64(number * factor));
        match seconds {
            Some(Ok(duration)) => total = total.saturating_add(duration),
            _ => return call.usage(1, format_args!("invalid number '{word}'")),
        }
    }
    if call.args.is_empty() {
        return call.usage(1, "missing operand");
    }
    std::thread::sleep(total);
    Ok(0)
}

pub(super) fn date(call: &mut Call<'_>) -> io::Result<u8> {
    let format = call.args.iter().find_map(|word| word.strip_prefix('+'));
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let nanoseconds = format!("{:09}", now.subsec_nanosecond());
    let format = format.unwrap_or("%a %b %e %H:%M:%S UTC %Y").replace("%N", &nanoseconds);
    let shown = k8s_openapi::jiff::fmt::strtime::format(&format, &now);
    match shown {
        Ok(text) => writeln!(call.out, "{text}")?,
        Err(error) => return call.usage(1, error),
    }
    Ok(0)
}

pub(super) fn hostname(call: &mut Call<'_>) -> io::Result<u8> {
    let wants_address = call.args.iter().any(|word| word == "-i" || word == "-I");
    let name = if wants_address { "POD_IP" } else { "HOSTNAME" };
    writeln!(call.out, "{}", std::env::var(name).unwrap_or_default())?;
    Ok(0)
}

pub(super) fn whoami(call: &mut Call<'_>) -> io::Result<u8> {
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    match (call.name, call.args.first().map(String::as_str)) {
        ("id", Some("-u")) => writeln!(call.out, "{uid}")?,
        ("id", Some("-g")) => writeln!(call.out, "{gid}")?,
        ("id", _) => writeln!(call.out, "uid={uid} gid={gid}")?,
        _ if uid.is_root() => writeln!(call.out, "root")?,
        _ => writeln!(call.out, "{uid}")?,
    }
    Ok(0)
}

pub(super) fn uname(call: &mut Call<'_>) -> io::Result<u8> {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let machine = std::env::consts::ARCH;
    match call.args.first().map(String::as_str) {
        None | Some("-s") => writeln!(call.out, "Linux")?,
        Some("-n") => writeln!(call.out, "{name}")?,
        Some("-m") => writeln!(call.out, "{machine}")?,
        Some("-r") => writeln!(call.out, "{}", release.trim())?,
        Some(_) => writeln!(call.out, "Linux {name} {} mesh {machine} Linux", release.trim())?,
    }
    Ok(0)
}

pub(super) fn pwd(call: &mut Call<'_>) -> io::Result<u8> {
    writeln!(call.out, "{}", call.files.working())?;
    Ok(0)
}

pub(super) fn which(call: &mut Call<'_>) -> io::Result<u8> {
    let mut code = 0;
    for name in call.args.iter().filter(|word| !word.starts_with('-')) {
        if super::is_known(name) {
            writeln!(call.out, "/usr/bin/{}", super::base_name(name))?;
        } else {
            code = if call.name == "command" { NOT_FOUND } else { 1 };
        }
    }
    Ok(code)
}

pub(super) fn ls(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    let here = [".".to_owned()];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let mut code = 0;
    for path in paths {
        let place = call.files.outside(path);
        let Ok(about) = fs::metadata(&place) else {
            writeln!(call.err, "ls: {path}: No such file or directory")?;
            code = 1;
            continue;
        };
        let mut names: Vec<(String, fs::Metadata)> = if about.is_dir() && !flags.contains('d') {
            let entries = fs::read_dir(&place)?.flatten();
            entries
                .filter_map(|entry| {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let shown = flags.contains(['a', 'A']) || !name.starts_with('.');
                    Some((name, fs::metadata(entry.path()).ok()?)).filter(|_| shown)
                })
                .collect()
        } else {
            vec![(path.clone(), about)]
        };
        names.sort_by(|a, b| a.0.cmp(&b.0));
        if paths.len() > 1 {
            writeln!(call.out, "{path}:")?;
        }
        for (name, about) in names {
            if flags.contains('l') {
                use std::os::unix::fs::PermissionsExt;
                let kind = if about.is_dir() { 'd' } else { '-' };
                let mode = about.permissions().mode();
                let bit = |shift: u32, letter: char| if mode >> shift & 1 == 1 { letter } else { '-' };
                let rights: String = (0..9).rev().zip("rwxrwxrwx".chars()).map(|(at, c)| bit(at, c)).collect();
                writeln!(call.out, "{kind}{rights} {:>9} {name}", about.len())?;
            } else {
                writeln!(call.out, "{name}")?;
            }
        }
    }
    Ok(code)
}

pub(super) fn mkdir(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    for path in paths {
        let place = call.files.outside(path);
        if flags.contains('p') { fs::create_dir_all(place)? } else { fs::create_dir(place)? }
    }
    Ok(0)
}

pub(super) fn rm(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    let mut code = 0;
    for path in paths {
        let place = call.files.outside(path);
        let removed = match fs::symlink_metadata(&place) {
            Ok(about) if about.is_dir() && flags.contains(['r', 'R']) => fs::remove_dir_all(&place),
            Ok(about) if about.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => fs::remove_file(&place),
            Err(_) if flags.contains('f') => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            writeln!(call.err, "rm: cannot remove '{path}': {error}")?;
            code = 1;
        }
    }
    Ok(code)
}

pub(super) fn touch(call: &mut Call<'_>) -> io::Result<u8> {
    for path in flags(call.args).1 {
        call.files.create(path, true)?;
    }
    Ok(0)
}

pub(super) fn cp(call: &mut Call<'_>) -> io::Result<u8> {
    let (flags, paths) = flags(call.args);
    let Some((to, from)) = paths.split_last().filter(|(_, from)| !from.is_empty()) else {
        return call.usage(1, "missing file operand");
    };
    for path in from {
        copy(&call.files.outside(path), &target(call, path, to), flags.contains(['r', 'R', 'a']), 0)?;
    }
    Ok(0)
}

pub(super) fn mv(call: &mut Call<'_>) -> io::Result<u8> {
    let (_, paths) = flags(call.args);
    let Some((to, from)) = paths.split_last().filter(|(_, from)| !from.is_empty()) else {
        return call.usage(1, "missing file operand");
    };
    for path in from {
        fs::rename(call.files.outside(path), target(call, path, to))?;
    }
    Ok(0)
}

fn target(call: &Call<'_>, from: &str, to: &str) -> std::path::PathBuf {
    let place = call.files.outside(to);
    if place.is_dir() { place.join(super::base_name(from.trim_end_matches('/'))) } else { place }
}

fn copy(from: &Path, to: &Path, recursive: bool, depth: usize) -> io::Result<()> {
    let about = fs::metadata(from)?;
    if !about.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    if !recursive || depth > DEPTH {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{}: is a directory", from.display())));
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()), recursive, depth + 1)?;
    }
    Ok(())
}
