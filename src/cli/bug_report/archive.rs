//! Archives of files in memory: tar (POSIX ustar), compressed as gzip (RFC 1952).

/// Bytes of a block.
const BLOCK: usize = 512;

/// Longest name of an entry; the prefix field would hold more, and nothing here needs it.
const NAME: usize = 100;

/// How hard is compressed: 6 of 10, as gzip does by default.
const LEVEL: u8 = 6;

/// An archive.
pub(super) struct Archive {
    root: String,
    /// Seconds since 1970.
    modified: u64,
    tar: Vec<u8>,
    entries: usize,
}

impl Archive {
    /// An archive whose entries are all below the directory `root`.
    pub(super) fn new(root: &str, modified: u64) -> Self {
        Self { root: root.to_owned(), modified, tar: Vec::new(), entries: 0 }
    }

    /// How many files it has.
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Adds a file. A name that is too long loses its middle.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) {
        let mut path = format!("{}/{name}", self.root);
        if path.len() > NAME {
            let half = (NAME - 2) / 2;
            let tail: String = path.chars().rev().take(half).collect::<Vec<_>>().into_iter().rev().collect();
            path = path.chars().take(half).collect::<String>() + "~" + &tail;
        }
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, text: &str| {
            if let Some(place) = header.get_mut(at..at + text.len()) {
                place.copy_from_slice(text.as_bytes());
            }
        };
        put(0, &path);
        put(100, "0000600\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, &format!("{:011o}\0", self.modified));
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        if let Some(place) = header.get_mut(148..156) {
            place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        self.tar.extend_from_slice(&header);
        self.tar.extend_from_slice(content);
        self.tar.resize(self.tar.len().next_multiple_of(BLOCK), 0);
        self.entries += 1;
    }

    /// The whole of it, compressed.
    pub(super) fn into_gzip(mut self) -> Vec<u8> {
        self.tar.resize(self.tar.len() + 2 * BLOCK, 0);
        let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        out.extend(miniz_oxide::deflate::compress_to_vec(&self.tar, LEVEL));
        out.extend(crc32(&self.tar).to_le_bytes());
        // Modulo 2^32, as the format has it.
        out.extend((self.tar.len() as u32).to_le_bytes());
        out
    }
}

/// CRC-32 (RFC 1952 section 8).
fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|index| {
        (0..8).fold(index as u32, |value, _| if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 })
    });
    let step = |crc: u32, byte: &u8| {
        let index = usize::from((crc as u8) ^ byte);
        table.get(index).copied().unwrap_or_default() ^ (crc >> 8)
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_gzips() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_was_added_is_found_again() {
        let mut archive = Archive::new("report", 0);
        archive.add("a.txt", b"some text");
        archive.add(&"long/".repeat(30), b"");
        assert_eq!(archive.len(), 2);
        let packed = archive.into_gzip();
        let tar = miniz_oxide::inflate::decompress_to_vec(&packed[10..packed.len() - 8]).unwrap();
        assert_eq!(tar.len() % BLOCK, 0);
        assert!(tar.starts_with(b"report/a.txt\0") && tar[BLOCK..].starts_with(b"some text\0"));
        assert_eq!(&tar[124..135], b"00000000011");
    }
}
