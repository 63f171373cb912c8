//! A transparency log entry as gitsign embeds it: protobuf (`dev.sigstore.rekor.v1.TransparencyLogEntry`), nine fields of it.

/// What is read of an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) index: u64,
    pub(super) log: Vec<u8>,
    pub(super) time: u64,
    pub(super) promise: Vec<u8>,
    pub(super) leaf: u64,
    pub(super) root: Vec<u8>,
    pub(super) size: u64,
    pub(super) hashes: Vec<Vec<u8>>,
    pub(super) checkpoint: String,
    pub(super) body: Vec<u8>,
}

/// A field's value.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Entry {
    pub(super) fn read(data: &[u8]) -> Option<Entry> {
        let mut entry = Entry::default();
        each(data, &mut |field, value| {
            match (field, value) {
                (1, Value::Number(index)) => entry.index = index,
                (2, Value::Bytes(log)) => entry.log = only(log, 1)?,
                // the kind of entry is the one that is written again
                (3, Value::Bytes(kind)) => {
                    let known = only(kind, 1)? == b"hashedrekord" && only(kind, 2)? == b"0.0.1";
                    return known.then_some(());
                }
                (4, Value::Number(time)) => entry.time = time,
                (5, Value::Bytes(promise)) => entry.promise = only(promise, 1)?,
                (6, Value::Bytes(proof)) => return entry.proof(proof),
                (7, Value::Bytes(body)) => entry.body = body.to_vec(),
                _ => return None,
            }
            Some(())
        })?;
        Some(entry)
    }

    fn proof(&mut self, data: &[u8]) -> Option<()> {
        each(data, &mut |field, value| {
            match (field, value) {
                (1, Value::Number(leaf)) => self.leaf = leaf,
                (2, Value::Bytes(root)) => self.root = root.to_vec(),
                (3, Value::Number(size)) => self.size = size,
                (4, Value::Bytes(hash)) => self.hashes.push(hash.to_vec()),
                (5, Value::Bytes(checkpoint)) => {
                    self.checkpoint = String::from_utf8(only(checkpoint, 1)?).ok()?;
                }
                _ => return None,
            }
            Some(())
        })
    }
}

/// The bytes of one field of a message.
fn only(data: &[u8], which: u64) -> Option<Vec<u8>> {
    let mut found = None;
    each(data, &mut |field, value| {
        if let (true, Value::Bytes(bytes)) = (field == which, value) {
            found = Some(bytes.to_vec());
        }
        Some(())
    })?;
    found
}

/// Hands out each field; nothing if the message cannot be read to its end.
fn each(mut data: &[u8], take: &mut dyn FnMut(u64, Value<'_>) -> Option<()>) -> Option<()> {
    while !data.is_empty() {
        let key = number(&mut data)?;
        match key & 7 {
            0 => {
                let value = number(&mut data)?;
                take(key >> 3, Value::Number(value))?;
            }
            2 => {
                let length = usize::try_from(number(&mut data)?).ok()?;
                let bytes = data.get(..length)?;
                data = data.get(length..)?;
                take(key >> 3, Value::Bytes(bytes))?;
            }
            _ => return None,
        }
    }
    Some(())
}

fn number(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10_u32 {
        let (byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f).checked_shl(place.checked_mul(7)?)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
