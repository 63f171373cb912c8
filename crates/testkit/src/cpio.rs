//! An archive that the kernel unpacks before it starts its first process (cpio, format `newc`; initramfs buffer format).

/// An archive that is being written.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    number: u32,
}

impl Archive {
    pub(crate) fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    pub(crate) fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | mode, content);
    }

    /// Its last entry, by which its end is known.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    /// Thirteen numbers of eight hexadecimal digits; name and content begin at multiples of four.
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.number = self.number.saturating_add(1);
        let sizes = [content.len(), name.len().saturating_add(1)].map(|size| u32::try_from(size).unwrap());
        let [size, name_size] = sizes;
        self.bytes.extend(b"070701");
        for number in [self.number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
            self.bytes.extend(format!("{number:08x}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
