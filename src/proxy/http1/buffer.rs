//! Read buffers, and the pool that lends them to connections while they are busy.

use std::cell::RefCell;
use std::fmt;

use crate::proxy::limits;

/// Bytes read and not yet consumed: `start..end` of a block that is lent by a [`BufferPool`], or of no block at all while the
/// connection is idle.
#[derive(Default)]
pub struct Buffer {
    block: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that holds `bytes`, from no pool.
    pub fn holding(bytes: &[u8]) -> Self {
        Self { block: bytes.into(), start: 0, end: bytes.len() }
    }

    /// Whether a block is lent to it.
    pub fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// What was read and not consumed.
    pub fn filled(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `count` bytes off the front.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Room to read into.
    pub fn spare(&mut self) -> &mut [u8] {
        self.block.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes of the spare room have been filled.
    pub fn advance(&mut self, count: usize) {
        self.end = (self.end + count).min(self.block.len());
    }

    /// Takes `count` bytes out, starting `from` bytes after the front, by closing the gap. Cheap when they are the last ones.
    pub fn remove(&mut self, from: usize, count: usize) {
        let hole = (self.start + from).min(self.end);
        let rest = (hole + count).min(self.end);
        self.block.copy_within(rest..self.end, hole);
        self.end -= rest - hole;
    }

    /// Whether there is room to read into, once what waits has been moved to the front.
    pub fn has_room(&self) -> bool {
        !self.has_block() || self.end - self.start < self.block.len()
    }

    /// Moves what waits to the front of the block, so that there is room behind it.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Makes the block large enough for a head of the largest permitted size, and one read behind it.
    pub fn grow(&mut self) {
        let wanted = limits::MAX_HEAD + 4096;
        if self.block.len() < wanted {
            let mut block = vec![0; wanted];
            let filled = self.filled();
            let length = filled.len();
            if let Some(front) = block.get_mut(..length) {
                front.copy_from_slice(filled);
            }
            *self = Self { block: block.into(), start: 0, end: length };
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("block", &self.block.len()).field("filled", &self.filled().len()).finish()
    }
}

/// A worker's spare blocks. Blocks are zeroed once and reused as they are: what was read before is overwritten before it is seen.
#[derive(Debug, Default)]
pub struct BufferPool {
    blocks: RefCell<Vec<Box<[u8]>>>,
    /// Blocks for connections that carry much.
    wide: RefCell<Vec<Box<[u8]>>>,
    texts: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// Lends a block to a buffer that has none.
    pub fn lend(&self, buffer: &mut Buffer) {
        Self::lend_of(&self.blocks, limits::BUFFER, buffer);
    }

    /// Lends a block for much at once to a buffer that has none.
    pub fn lend_wide(&self, buffer: &mut Buffer) {
        Self::lend_of(&self.wide, limits::WIDE_BUFFER, buffer);
    }

    fn lend_of(blocks: &RefCell<Vec<Box<[u8]>>>, size: usize, buffer: &mut Buffer) {
        if !buffer.has_block() {
            let block = blocks.borrow_mut().pop().unwrap_or_else(|| vec![0; size].into());
            *buffer = Buffer { block, start: 0, end: 0 };
        }
    }

    /// Takes the block of a buffer back if nothing waits in it.
    pub fn take_back(&self, buffer: &mut Buffer) {
        if buffer.is_empty() {
            let block = std::mem::take(buffer).block;
            let (blocks, most) = match block.len() {
                limits::BUFFER => (&self.blocks, limits::SPARE_BUFFERS),
                limits::WIDE_BUFFER => (&self.wide, limits::SPARE_WIDE_BUFFERS),
                _ => return,
            };
            let mut blocks = blocks.borrow_mut();
            if blocks.len() < most {
                blocks.push(block);
            }
        }
    }

    /// An empty vector to write into.
    pub fn text(&self) -> Vec<u8> {
        self.texts.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a vector back.
    pub fn take_text(&self, mut text: Vec<u8>) {
        let mut texts = self.texts.borrow_mut();
        if text.capacity() > 0 && text.capacity() <= 2 * limits::BUFFER && texts.len() < limits::SPARE_BUFFERS {
            text.clear();
            texts.push(text);
        }
    }
}
