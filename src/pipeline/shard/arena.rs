//! Label texts of live fingerprints, stored once, in pages that repeats never touch.
//!
//! A page is freed when nothing in it is alive. Pages that are mostly dead are emptied by `relocate`, which the state
//! sweep calls for every entry it passes, so that space lost to departed neighbours comes back within one sweep.

/// Bytes of a page: small against the state, large against a label set (at most 64 KiB plus lengths).
const PAGE_BYTES: usize = 1 << 20;

/// Where a text lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArenaRef {
    page: u32,
    offset: u32,
    len: u32,
}

#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    live: usize,
}

/// The pages.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pages: Vec<Page>,
    /// Freed pages, to be used again.
    free: Vec<u32>,
    /// The page that is being filled.
    current: Option<u32>,
}

impl Arena {
    pub(crate) fn store(&mut self, text: &[u8]) -> ArenaRef {
        let page = match self.current {
            Some(page) if self.page_fits(page, text.len()) => page,
            _ => self.start_page(text.len()),
        };
        let Some(target) = self.pages.get_mut(page as usize) else { return ArenaRef::default() };
        let offset = target.bytes.len();
        target.bytes.extend_from_slice(text);
        target.live += text.len();
        ArenaRef { page, offset: offset as u32, len: text.len() as u32 }
    }

    pub(crate) fn get(&self, at: ArenaRef) -> &[u8] {
        let start = at.offset as usize;
        self.pages
            .get(at.page as usize)
            .and_then(|page| page.bytes.get(start..start + at.len as usize))
            .unwrap_or_default()
    }

    pub(crate) fn release(&mut self, at: ArenaRef) {
        let Some(page) = self.pages.get_mut(at.page as usize) else { return };
        page.live = page.live.saturating_sub(at.len as usize);
        if page.live == 0 && self.current != Some(at.page) && !page.bytes.is_empty() {
            page.bytes = Vec::new();
            self.free.push(at.page);
        }
    }

    /// Moves the text to the page that is being filled, if its own is mostly dead.
    pub(crate) fn relocate(&mut self, at: ArenaRef) -> ArenaRef {
        let sparse = self.pages.get(at.page as usize).is_some_and(|page| page.live * 2 < page.bytes.len());
        if !sparse || self.current == Some(at.page) {
            return at;
        }
        let text = self.get(at).to_vec();
        let moved = self.store(&text);
        self.release(at);
        moved
    }

    /// Bytes held by pages, dead ones included.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.bytes.capacity()).sum()
    }

    fn page_fits(&self, page: u32, len: usize) -> bool {
        self.pages
            .get(page as usize)
            .is_some_and(|page| page.bytes.len() + len <= PAGE_BYTES.max(page.bytes.capacity()))
    }

    fn start_page(&mut self, len: usize) -> u32 {
        let before = self.current.take();
        if let Some(left) = before
            && let Some(page) = self.pages.get_mut(left as usize)
            && page.live == 0
        {
            page.bytes = Vec::new();
            self.free.push(left);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.pages.push(Page::default());
            (self.pages.len() - 1) as u32
        });
        if let Some(page) = self.pages.get_mut(index as usize) {
            page.bytes = Vec::with_capacity(PAGE_BYTES.max(len));
        }
        self.current = Some(index);
        index
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn space_of_the_departed_comes_back() {
        let mut arena = Arena::default();
        let text = |n: usize| format!("{n:01000}").into_bytes();
        let mut refs: Vec<ArenaRef> = (0..4_000).map(|n| arena.store(&text(n))).collect();
        let full = arena.bytes();
        // Nine of ten leave; the tenth is moved by the sweep.
        for (n, at) in refs.iter_mut().enumerate() {
            if n % 10 != 0 {
                arena.release(*at);
            }
        }
        for at in refs.iter_mut().step_by(10) {
            *at = arena.relocate(*at);
        }
        assert!(arena.bytes() * 2 <= full, "{} of {full}", arena.bytes());
        for (n, at) in refs.iter().enumerate().step_by(10) {
            assert_eq!(arena.get(*at), text(n));
        }
    }
}
