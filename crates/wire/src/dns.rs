//! DNS queries read and answered (RFC 1035, 2308, 6891, 8914), over hickory-proto.
//!
//! Reads one plain question and writes the answers the gate gives: addresses, nothing, or a refusal that says
//! why. A query that does anything else (compressed question, answers of its own, trailing bytes) is refused.

use std::net::IpAddr;

use hickory_proto::op::{
    Edns, Header, Message, MessageType, Metadata, OpCode, Query as Question, ResponseCode,
};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, PTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use thiserror::Error;

/// One question from a client.
#[derive(Clone, Debug)]
pub struct Query {
    metadata: Metadata,
    question: Question,
    name: String,
    edns: Option<u16>,
    limit: usize,
}

/// The type of record asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// An HTTPS service binding (RFC 9460).
    Https,
    /// A service binding (RFC 9460).
    Svcb,
    /// The name of an address.
    Ptr,
    /// Any other, by its number.
    Other(u16),
}

/// Why a message is not a query to be answered, and what to send instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DnsError {
    /// A response, or too short to have a header: send nothing.
    #[error("not a DNS query")]
    Drop,
    /// The header with this id is fine, the rest is not: send [`format_error`].
    #[error("the DNS query is malformed")]
    Format(u16),
    /// An operation other than a query: send [`not_implemented`].
    #[error("the DNS operation is not a query")]
    NotImplemented(u16),
}

impl DnsError {
    /// The message to send back, if any.
    pub fn answer(self) -> Option<Vec<u8>> {
        match self {
            Self::Drop => None,
            Self::Format(id) => Some(format_error(id)),
            Self::NotImplemented(id) => Some(not_implemented(id)),
        }
    }
}

impl Query {
    /// Reads one message: exactly one question of class IN, and nothing else but EDNS.
    pub fn parse(bytes: &[u8]) -> Result<Self, DnsError> {
        let header = Header::read(&mut BinDecoder::new(bytes)).map_err(|_| DnsError::Drop)?;
        let id = header.metadata.id;
        if header.metadata.message_type != MessageType::Query {
            return Err(DnsError::Drop);
        }
        if header.metadata.op_code != OpCode::Query {
            return Err(DnsError::NotImplemented(id));
        }
        // Look at the counts before any record is parsed: a query has no reason to bring records of its own.
        let counts = header.counts;
        let plain =
            (counts.queries, counts.answers, counts.authorities) == (1, 0, 0) && counts.additionals <= 2;
        if !plain || !is_uncompressed(bytes) {
            return Err(DnsError::Format(id));
        }
        Self::read(bytes).ok_or(DnsError::Format(id))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut decoder = BinDecoder::new(bytes);
        let message = Message::read(&mut decoder).ok()?;
        let [question] = message.queries.as_slice() else { return None };
        if question.query_class != DNSClass::IN || !decoder.is_empty() {
            return None;
        }
        let edns = match &message.edns {
            Some(edns) if edns.version() != 0 => return None,
            // RFC 6891, 6.2.3: values below 512 are treated as 512.
            Some(edns) => Some(edns.max_payload().max(MIN_SIZE)),
            None => None,
        };
        Some(Self {
            metadata: message.metadata,
            name: presentation(&question.name),
            question: question.clone(),
            edns,
            limit: usize::from(edns.unwrap_or(MIN_SIZE)),
        })
    }

    /// The query came over TCP: answers may be as long as a message can be.
    #[must_use]
    pub fn over_stream(mut self) -> Self {
        self.limit = usize::from(u16::MAX);
        self
    }

    /// The message id.
    pub fn id(&self) -> u16 {
        self.metadata.id
    }

    /// The name asked for: lower case, no trailing dot, `.` for the root. A byte no host name has is written
    /// as `\DDD` (and a dot or backslash inside a label as `\.` and `\\`), so a host-name parser refuses it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of record asked for.
    pub fn kind(&self) -> Kind {
        match self.question.query_type {
            RecordType::A => Kind::A,
            RecordType::AAAA => Kind::Aaaa,
            RecordType::HTTPS => Kind::Https,
            RecordType::SVCB => Kind::Svcb,
            RecordType::PTR => Kind::Ptr,
            other => Kind::Other(u16::from(other)),
        }
    }

    /// The longest UDP answer the client takes, if it speaks EDNS; otherwise that is 512.
    pub fn edns_size(&self) -> Option<u16> {
        self.edns
    }

    /// The address a reverse name (`in-addr.arpa`, `ip6.arpa`) stands for, if it is a whole one.
    pub fn reverse(&self) -> Option<IpAddr> {
        let net = self.question.name.parse_arpa_name().ok()?;
        (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
    }

    /// The addresses of the family asked for; no data if there are none.
    pub fn addresses(&self, addresses: &[IpAddr], ttl: u32) -> Vec<u8> {
        let data = addresses.iter().filter_map(|address| match (self.kind(), address) {
            (Kind::A, IpAddr::V4(v4)) => Some(RData::A(A(*v4))),
            (Kind::Aaaa, IpAddr::V6(v6)) => Some(RData::AAAA(AAAA(*v6))),
            _ => None,
        });
        self.records(data, ttl)
    }

    /// The name of an address; no data if the question is not for one or `name` is not a domain name.
    pub fn ptr(&self, name: &str) -> Vec<u8> {
        let name = Name::from_ascii(name).ok().filter(|_| self.kind() == Kind::Ptr);
        let data = name.map(|mut name| {
            name.set_fqdn(true);
            RData::PTR(PTR(name))
        });
        self.records(data.into_iter(), SHORT_TTL)
    }

    /// The name exists, but has no record of this type.
    pub fn nodata(&self) -> Vec<u8> {
        let mut message = self.reply(ResponseCode::NoError);
        message.add_authority(short_soa());
        self.encode(message)
    }

    /// No such name, as far as this client is concerned, and `text` says why (RFC 8914: Prohibited).
    pub fn refuse(&self, text: &str) -> Vec<u8> {
        let mut message = self.reply(ResponseCode::NXDomain);
        message.add_authority(short_soa());
        explain(&mut message, PROHIBITED, text);
        self.encode(message)
    }

    /// No answer could be had, and `text` says why.
    pub fn servfail(&self, text: &str) -> Vec<u8> {
        let mut message = self.reply(ResponseCode::ServFail);
        explain(&mut message, OTHER_ERROR, text);
        self.encode(message)
    }

    fn records(&self, data: impl Iterator<Item = RData>, ttl: u32) -> Vec<u8> {
        let mut message = self.reply(ResponseCode::NoError);
        message.add_answers(data.map(|data| Record::from_rdata(self.question.name.clone(), ttl, data)));
        if message.answers.is_empty() { self.nodata() } else { self.encode(message) }
    }

    fn reply(&self, code: ResponseCode) -> Message {
        let mut message = Message::response(self.id(), OpCode::Query);
        message.metadata = Metadata::response_from_request(&self.metadata);
        message.metadata.recursion_available = true;
        message.metadata.response_code = code;
        message.add_query(self.question.clone());
        if self.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(OUR_SIZE);
            message.set_edns(edns);
        }
        message
    }

    /// Shortens the message until it fits: first the explanation goes, then the records, with TC set.
    fn encode(&self, mut message: Message) -> Vec<u8> {
        if let Some(bytes) = self.fitting(&message) {
            return bytes;
        }
        if let Some(edns) = message.edns.as_mut() {
            edns.options_mut().options.clear();
        }
        self.fitting(&message)
            .or_else(|| self.fitting(&message.truncate()))
            .unwrap_or_else(|| bare(self.id(), SERVFAIL))
    }

    fn fitting(&self, message: &Message) -> Option<Vec<u8>> {
        message.to_vec().ok().filter(|bytes| bytes.len() <= self.limit)
    }
}

/// FORMERR for a message whose question cannot be read, so it is not echoed.
pub fn format_error(id: u16) -> Vec<u8> {
    bare(id, FORMERR)
}

/// NOTIMP for an operation other than a query.
pub fn not_implemented(id: u16) -> Vec<u8> {
    bare(id, NOTIMP)
}

/// A header alone: QR and RA set, no sections.
fn bare(id: u16, code: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![high, low, 0x80, 0x80 | code, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// True if the question's name is spelled out: a pointer there could only lead into the header.
fn is_uncompressed(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first() {
        match length {
            0 => return true,
            1..=63 => rest = after.get(usize::from(length)..).unwrap_or_default(),
            _ => return false,
        }
    }
    false
}

fn presentation(name: &Name) -> String {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            match byte {
                b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
                _ if byte.is_ascii_graphic() => text.push(char::from(byte.to_ascii_lowercase())),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// RFC 2308, 5: a negative answer is kept for the smaller of the SOA's TTL and its minimum field.
/// The owner is the root: it is above every name, and unlike the name itself may exist.
fn short_soa() -> Record {
    let us = || Name::from_ascii("policy.internal.").unwrap_or_default();
    let (serial, refresh, retry, expire) = (1, 3600, 600, 86_400);
    let soa = SOA::new(us(), us(), serial, refresh, retry, expire, SHORT_TTL);
    Record::from_rdata(Name::root(), SHORT_TTL, RData::SOA(soa))
}

/// Adds an extended error (RFC 8914) if the client speaks EDNS: a code, then UTF-8 text.
fn explain(message: &mut Message, code: u16, text: &str) {
    let Some(edns) = message.edns.as_mut() else { return };
    let mut data = code.to_be_bytes().to_vec();
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if data.len() + character.len_utf8() > MAX_TEXT {
            break;
        }
        data.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, data));
}

/// The fixed header (RFC 1035, 4.1.1).
const HEADER: usize = 12;
const FORMERR: u8 = 1;
const SERVFAIL: u8 = 2;
const NOTIMP: u8 = 4;
/// The longest UDP message without EDNS (RFC 1035, 2.3.4).
const MIN_SIZE: u16 = 512;
/// The longest UDP query we say we take (DNS flag day 2020).
const OUR_SIZE: u16 = 1232;
/// A policy can change under a running agent: what it was refused must not stay refused for long.
const SHORT_TTL: u32 = 5;
/// EDNS option code of extended errors, and two of its codes (RFC 8914, 4 and 5.2).
const EXTENDED_ERROR: u16 = 15;
const OTHER_ERROR: u16 = 0;
const PROHIBITED: u16 = 18;
const MAX_TEXT: usize = 240;

#[cfg(test)]
mod tests;
