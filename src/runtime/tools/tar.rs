//! `tar`, as `kubectl cp` calls it: archives of files and directories through standard input and output.
//!
//! Links and devices are left out and said; no name leads out of the directory that it is unpacked in.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path};

use super::{Call, Files};

const BLOCK: usize = 512;
/// Directories below each other at most.
const DEPTH: usize = 64;
/// Largest extended header (a long name) that is read.
const EXTENDED: u64 = 64 << 10;

pub(super) fn run(call: &mut Call<'_>) -> io::Result<u8> {
    let (mut create, mut extract, mut list) = (false, false, false);
    let (mut file, mut directory, mut paths) = ("-".to_owned(), None, Vec::new());
    let mut rest = call.args.iter().enumerate();
    while let Some((index, word)) = rest.next() {
        let flags = match word.strip_prefix('-') {
            Some(long) if long.starts_with('-') => continue,
            Some(flags) => flags,
            None if index == 0 => word.as_str(),
            None => {
                paths.push(word.clone());
                continue;
            }
        };
        for flag in flags.chars() {
            match flag {
                'c' => create = true,
                'x' => extract = true,
                't' => list = true,
                'f' => file = rest.next().map(|(_, word)| word.clone()).unwrap_or_default(),
                'C' => directory = rest.next().map(|(_, word)| word.clone()),
                'm' | 'v' | 'p' | 'o' | 'h' => {}
                other => {
                    return call.usage(2, format_args!("-{other} is not built in; there are -c -x -t -f -C -m -p"));
                }
            }
        }
    }
    let inside = call.files.inside(directory.as_deref().unwrap_or("."));
    let base = call.files.outside(&inside);
    match (create, extract || list) {
        (true, false) => {
            let mut target: Box<dyn Write + '_> =
                if file == "-" { Box::new(&mut *call.out) } else { Box::new(call.files.create(&file, false)?) };
            let mut code = 0;
            for path in &paths {
                let place = base_of(call.files, &inside, path);
                if let Err(error) = pack(&mut *target, &place, path.trim_start_matches('/'), 0) {
                    writeln!(call.err, "tar: {path}: {error}")?;
                    code = 2;
                }
            }
            target.write_all(&[0; 2 * BLOCK])?;
            target.flush()?;
            Ok(code)
        }
        (false, true) => {
            let mut opened;
            let source: &mut dyn Read = if file == "-" {
                &mut *call.input
            } else {
                opened = call.files.open(&file)?;
                &mut opened
            };
            unpack(source, &base, list.then_some(&mut *call.out), call.err)
        }
        _ => call.usage(2, "one of -c, -x and -t"),
    }
}

fn base_of(files: &Files, inside: &str, path: &str) -> std::path::PathBuf {
    if path.starts_with('/') { files.outside(path) } else { files.outside(&format!("{inside}/{path}")) }
}

fn pack(out: &mut dyn Write, place: &Path, name: &str, depth: usize) -> io::Result<()> {
    let about = fs::metadata(place)?;
    let name = if name.is_empty() { "." } else { name };
    if about.is_dir() {
        write_header(out, &format!("{}/", name.trim_end_matches('/')), b'5', &about, 0)?;
        if depth >= DEPTH {
            return Err(io::Error::other("directories are nested too deeply"));
        }
        let mut entries: Vec<_> = fs::read_dir(place)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let below = format!("{}/{}", name.trim_end_matches('/'), entry.file_name().to_string_lossy());
            pack(out, &entry.path(), &below, depth + 1)?;
        }
        return Ok(());
    }
    if !about.is_file() {
        return Ok(());
    }
    let size = about.len();
    write_header(out, name, b'0', &about, size)?;
    // A file that shrinks meanwhile is filled up: the archive stays one.
    let copied = io::copy(&mut File::open(place)?.take(size), out)?;
    io::copy(&mut io::repeat(0).take(size - copied + padding(size)), out)?;
    Ok(())
}

fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

fn write_header(out: &mut dyn Write, name: &str, kind: u8, about: &fs::Metadata, size: u64) -> io::Result<()> {
    if name.len() > 100 {
        // GNU's way: the name in an entry of its own before.
        let length = name.len() as u64 + 1;
        out.write_all(&header("././@LongLink", b'L', 0, length, 0))?;
        out.write_all(name.as_bytes())?;
        io::copy(&mut io::repeat(0).take(1 + padding(length)), out)?;
    }
    let cut: String = name
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= 100).then_some(c)
        })
        .collect();
    out.write_all(&header(&cut, kind, about.mode() & 0o777, size, about.mtime()))
}

fn header(name: &str, kind: u8, mode: u32, size: u64, time: i64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| {
        let bytes = text.as_bytes();
        if let Some(field) = block.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, &format!("{:011o}", time.max(0)));
    put(148, "        ");
    put(156, &char::from(kind).to_string());
    put(257, "ustar  ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(field) = block.get_mut(148..156) {
        field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    block
}

fn unpack(source: &mut dyn Read, base: &Path, mut list: Option<&mut dyn Write>, err: &mut dyn Write) -> io::Result<u8> {
    let (mut block, mut long_name, mut code) = ([0; BLOCK], None, 0);
    loop {
        if !read_block(source, &mut block)? || block.iter().all(|byte| *byte == 0) {
            // What follows the end is read: who writes into a pipe must not be cut off.
            io::copy(source, &mut io::sink())?;
            return Ok(code);
        }
        let text = |at: usize, length: usize| {
            let field = block.get(at..at + length).unwrap_or_default();
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
        };
        let size = number(block.get(124..136).unwrap_or_default())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this does not look like a tar archive"))?;
        let mode = number(block.get(100..108).unwrap_or_default()).unwrap_or(0o644);
        let prefix = if block.get(257..263) == Some(b"ustar\0") { text(345, 155) } else { String::new() };
        let plain = if prefix.is_empty() { text(0, 100) } else { format!("{prefix}/{}", text(0, 100)) };
        let kind = block.get(156).copied().unwrap_or(b'0');
        let mut content = source.take(size);
        match kind {
            b'L' | b'x' => {
                let mut bytes = Vec::new();
                (&mut content).take(EXTENDED).read_to_end(&mut bytes)?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let name = if kind == b'L' { Some(text.trim_end_matches('\0').to_owned()) } else { pax_path(&text) };
                long_name = name.or(long_name);
            }
            b'g' => {}
            _ => {
                let name = long_name.take().unwrap_or(plain);
                if let Some(out) = list.as_mut() {
                    writeln!(out, "{name}")?;
                } else if let Err(error) = place(base, &name, kind, mode, &mut content) {
                    writeln!(err, "tar: {name}: {error}")?;
                    code = 2;
                }
            }
        }
        io::copy(&mut content, &mut io::sink())?;
        io::copy(&mut source.take(padding(size)), &mut io::sink())?;
    }
}

fn place(base: &Path, name: &str, kind: u8, mode: u64, content: &mut dyn Read) -> io::Result<()> {
    let mut target = base.to_owned();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => target.push(part),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(io::Error::other("the name leads out of the directory; left out")),
        }
    }
    match kind {
        b'5' => fs::create_dir_all(&target),
        b'0' | 0 => {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create(&target)?;
            io::copy(content, &mut file)?;
            let mode = u32::try_from(mode & 0o777).unwrap_or(0o644);
            file.set_permissions(fs::Permissions::from_mode(mode | 0o600))
        }
        _ => Err(io::Error::other("links and devices are left out")),
    }
}

/// `false` at the end of the input.
fn read_block(source: &mut dyn Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    match source.read_exact(block) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// An octal number, or GNU's binary one.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        let bytes = field.get(field.len().checked_sub(8)?..)?;
        return bytes.try_into().ok().map(u64::from_be_bytes);
    }
    let text = String::from_utf8_lossy(field);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// The `path` record of an extended header.
fn pax_path(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned))
}
