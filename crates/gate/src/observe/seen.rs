//! One connection, or one flow of datagrams, that was accepted here: its records.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use claw_ledger::record::{Decision as Verdict, Event, Process};
use claw_wire::tls::{ClientHello, Sni};

use super::Begun;
use crate::live::Tally;
use crate::{Attempt, Shared, Unwritable};

/// What there is to know of it. Its end is written down when this is dropped.
pub(crate) struct Seen {
    pub(crate) shared: Rc<Shared>,
    pub(crate) attempt: Attempt,
    pub(crate) process: Option<Process>,
    /// The number of the record of its beginning.
    pub(crate) record: Option<u64>,
    pub(crate) tally: Arc<Tally>,
    /// How many requests it carried.
    pub(crate) requests: Cell<u64>,
    begun: Instant,
    said: RefCell<Said>,
    end: Cell<&'static str>,
}

/// What a client said first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// What it speaks.
    pub(crate) application: Option<&'static str>,
    /// The host that its TLS hello names.
    pub(crate) sni: Option<String>,
    /// The protocols that its TLS hello offers.
    pub(crate) alpn: Option<String>,
}

impl Said {
    /// What a TLS hello says.
    pub(crate) fn of(hello: &ClientHello) -> Said {
        let sni = match &hello.server_name {
            Sni::Name(name) => Some(name.chars().take(LONGEST).collect()),
            Sni::None | Sni::Ambiguous => None,
        };
        let offered = hello.alpn.iter().map(|name| String::from_utf8_lossy(name).into_owned());
        let offered = offered.take(MOST_OFFERED).collect::<Vec<_>>().join(",");
        let alpn = (!offered.is_empty()).then(|| offered.chars().take(LONGEST).collect());
        Said { application: Some("tls"), sni, alpn }
    }
}

impl Seen {
    /// Writes its beginning down. Without a record, nothing is accepted.
    pub(crate) fn begin(shared: &Rc<Shared>, attempt: Attempt) -> Result<Rc<Seen>, Unwritable> {
        let label = shared.label(&attempt);
        let event = shared.connect(&attempt, Verdict::Sink, |fields| {
            (fields.plane, fields.rule) = (label.plane, label.rule);
        });
        let record = shared.journal.write(&event, None)?;
        let Begun { process, record } = Begun::of(event, record);
        Ok(Rc::new(Seen {
            shared: Rc::clone(shared),
            attempt,
            process,
            record,
            tally: Arc::default(),
            requests: Cell::new(0),
            begun: Instant::now(),
            said: RefCell::default(),
            end: Cell::new("end"),
        }))
    }

    /// What the client speaks.
    pub(crate) fn speaks(&self, application: &'static str) {
        self.said.borrow_mut().application = Some(application);
    }

    /// What its TLS hello says.
    pub(crate) fn greets(&self, hello: &ClientHello) {
        *self.said.borrow_mut() = Said::of(hello);
    }

    /// How it ended.
    pub(crate) fn ends(&self, end: &'static str) {
        self.end.set(end);
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let Said { application, sni, alpn } = self.said.take();
        let event = Event::Close {
            destination: self.attempt.name(),
            port: self.attempt.port,
            bytes_out: self.tally.out(),
            bytes_in: self.tally.back(),
            duration_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            end: self.end.get().to_owned(),
            planes: Vec::new(),
            connection: self.record,
            application: Some(application.unwrap_or("silent").to_owned()),
            sni,
            alpn,
            requests: Some(self.requests.get()),
        };
        // it has ended already; a ledger that cannot be written stops the next one
        let _ = self.shared.journal.write(&event, None);
    }
}

/// Characters of what a client says of itself.
const LONGEST: usize = 255;
const MOST_OFFERED: usize = 16;
