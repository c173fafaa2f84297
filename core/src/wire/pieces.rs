//! A file as pieces of bytes, most of them borrowed from the words of a network: whoever takes them one by one
//! needs no memory for the whole.

use super::{ALIGNMENT, CHECKSUM, CHECKSUM_LEN, HEADER_LEN, Layout, MAGIC, VERSION};
use crate::error::{Error, Expected, Field};
use crate::scalar::Number;
use crate::shape::Shape;

/// Room for the settings of any number type, zeros up to the next section included.
const SETTINGS_ROOM: usize = 32;
/// Layer, two parts of the readout, two of the scaling, initial state, metadata.
const PARTS: usize = 7;

/// A file, piece by piece: see [`wire::pieces`](super::pieces) and [`wire::learned::pieces`](super::learned::pieces).
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    head: [u8; HEADER_LEN + SETTINGS_ROOM],
    head_len: usize,
    /// Bytes, and how many zeros follow them.
    parts: [(&'a [u8], usize); PARTS],
    checksum: [u8; CHECKSUM_LEN],
    tail: Option<Tail<'a>>,
}

/// What follows a model: header, with the zeros before it, body and checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail<'a> {
    pub(super) head: [u8; super::learned::HEAD_LEN],
    pub(super) body: &'a [u8],
    pub(super) checksum: [u8; CHECKSUM_LEN],
}

impl<'a> Pieces<'a> {
    /// Every piece, in order; some may be empty.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let zeros = &[0; ALIGNMENT];
        let head = self.head.get(..self.head_len).unwrap_or_default();
        let parts =
            self.parts.iter().flat_map(move |&(part, pad)| [part, zeros.get(..pad).unwrap_or_default()]);
        let tail = self.tail.iter().flat_map(|tail| [&tail.head, tail.body, &tail.checksum]);
        core::iter::once(head).chain(parts).chain([&self.checksum[..]]).chain(tail)
    }

    /// Bytes of all pieces.
    #[must_use]
    pub fn length(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// Copies every piece into `out` and says how many bytes that took.
    pub(super) fn copy_to(&self, out: &mut [u8]) -> Result<usize, Error> {
        let (need, found) = (self.length(), out.len());
        let mut rest = out;
        for piece in self.iter() {
            let (place, after) = rest.split_at_mut_checked(piece.len()).ok_or(Error::new(
                Field::Buffer,
                Expected::AtLeast(need as u64),
                found as u64,
            ))?;
            place.copy_from_slice(piece);
            rest = after;
        }
        Ok(need)
    }

    pub(super) const fn checksum(&self) -> [u8; CHECKSUM_LEN] {
        self.checksum
    }

    pub(super) const fn followed_by(self, tail: Tail<'a>) -> Self {
        Self { tail: Some(tail), ..self }
    }
}

impl Layout {
    /// Header, settings, the other five sections and the checksum: `tags` are those of bytes 7 to 11.
    pub(super) fn pieces<'a>(
        &self,
        number: Number,
        tags: [u8; 5],
        shape: &Shape,
        settings: &[u8],
        sections: [[&'a [u8]; 2]; 5],
    ) -> Pieces<'a> {
        let mut head = [0; HEADER_LEN + SETTINGS_ROOM];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = head.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &MAGIC.to_le_bytes());
        put(4, &VERSION.to_le_bytes());
        put(6, &[number as u8]);
        put(7, &tags);
        for (k, size) in [shape.neurons, shape.rank, shape.inputs, shape.outputs].into_iter().enumerate() {
            put(12 + 2 * k, &(size as u16).to_le_bytes());
        }
        put(20, &((self.checksum + CHECKSUM_LEN) as u32).to_le_bytes());
        for (k, offset) in self.sections.into_iter().enumerate() {
            put(24 + 4 * k, &(offset as u32).to_le_bytes());
        }
        let [.., [metadata, _]] = sections;
        put(48, &(metadata.len() as u32).to_le_bytes());
        put(HEADER_LEN, settings);

        let padded = |[first, second]: [&'a [u8]; 2]| {
            let length = first.len() + second.len();
            [(first, 0), (second, length.next_multiple_of(ALIGNMENT) - length)]
        };
        let [layer, readout, scaling, initial, metadata] = sections.map(padded);
        let one = |[(part, _), (_, pad)]: [(&'a [u8], usize); 2]| (part, pad);
        let parts = [one(layer), readout[0], readout[1], scaling[0], scaling[1], one(initial), one(metadata)];
        let [_, layer_at, ..] = self.sections;
        let mut pieces = Pieces { head, head_len: layer_at, parts, checksum: [0; CHECKSUM_LEN], tail: None };
        let mut digest = CHECKSUM.digest();
        // The last piece is the checksum itself.
        let body = pieces.iter().count() - 1;
        pieces.iter().take(body).for_each(|piece| digest.update(piece));
        pieces.checksum = digest.finalize().to_le_bytes();
        pieces
    }
}
