//! `claw verify`: reads what it is given, asks the library, says what was proven and what was not.

mod layout;
mod show;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use claw_verify::artifact::Artifact;
use claw_verify::envelope::Envelope;
use claw_verify::identity::{Identity, Name, Pattern};
use claw_verify::provenance::{self, Policy};
use claw_verify::sigstore::{self, Attested, Bundle, Claims, Root, Trust, Who};
use claw_verify::ssh::{self, Allowed, Asked};
use claw_verify::statement::Known;
use claw_verify::{Class, Clock, Error, Keys, PublicKey, Signer, Verified, minisign};
use jiff::Timestamp;

use crate::arguments::Verify;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Why there is no yes.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Usage(&'static str),
    /// What the caller brought to judge by.
    #[error("{path}")]
    Unusable { path: String, source: Error },
    #[error("{what} is not verified")]
    Refused { what: String, source: Error },
}

/// What was asked for, read.
struct Question {
    clock: Clock,
    root: claw_model::digest::Digest,
    trust: Trust,
    judges: Judges,
    policy: Option<Policy>,
}

enum Judges {
    Identities(Vec<Identity>),
    Keys(Keys),
    Minisign(Vec<minisign::Key>),
    Ssh(Allowed),
}

/// Answers whether it holds.
pub(crate) fn run(arguments: &Verify) -> u8 {
    let (clock, answer) = match ask(arguments) {
        Ok((clock, answer)) => (Some(clock), Ok(answer)),
        Err(failure) => (None, Err(failure)),
    };
    match answer {
        Ok(answer) => {
            if let Some(clock) = clock.filter(Clock::is_held) {
                print::say(&format!(
                    "claw: the clock says {}, before {}: the later counts",
                    clock.said(),
                    clock.now()
                ));
            }
            if arguments.json {
                show::json(&answer)
            } else {
                show::text(&answer)
            }
            DONE
        }
        Err(failure) => {
            if arguments.json {
                show::refused(&failure);
            }
            print::error(&failure, None);
            failure.code()
        }
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Refused { source, .. } if source.class() != Class::Trust => NO,
            _ => UNUSABLE,
        }
    }
}

/// The signatures of one artefact: those that hold, and why others do not where not all must.
struct Held {
    artifact: String,
    verified: Vec<Verified<Attested>>,
    refused: Vec<String>,
}

/// What holds.
struct Answer {
    artifact: String,
    root: Option<claw_model::digest::Digest>,
    clock: Clock,
    verified: Vec<Verified<Attested>>,
    refused: Vec<String>,
    signers: usize,
    /// Whether a policy asked where it comes from.
    asked: bool,
}

fn ask(arguments: &Verify) -> Result<(Clock, Answer), Failure> {
    let question = Question::read(arguments)?;
    let path = Path::new(&arguments.artifact);
    let layout = path.is_dir();
    if !layout && (arguments.tag.is_some() || arguments.digest.is_some()) {
        return Err(Failure::Usage(
            "--tag and --digest choose a manifest of a layout, and this is no directory; hint: leave them out",
        ));
    }
    let ssh = matches!(question.judges, Judges::Ssh(_));
    if !ssh && (arguments.principal.is_some() || arguments.namespace.is_some()) {
        return Err(Failure::Usage("--principal and --namespace are of --allowed-signers"));
    }
    if Known::read(&arguments.artifact).is_some() && path.symlink_metadata().is_ok() {
        return Err(Failure::Usage(
            "the artefact is a digest, and a file of that name is here; hint: `./` before it means the file",
        ));
    }
    let Held { artifact, mut verified, refused } = if layout {
        if !arguments.bundle.is_empty() {
            return Err(Failure::Usage(
                "a layout has its own signatures; hint: leave out --bundle, or name a file",
            ));
        }
        layout::verify(path, arguments, &question)?
    } else {
        if arguments.bundle.is_empty() {
            return Err(Failure::Usage("no signature is named; hint: --bundle FILE"));
        }
        question.file(arguments)?
    };
    let signers = question.judges.count(&verified);
    if let Some(need) = arguments.threshold.filter(|&need| signers < need) {
        let why = format!("{signers} different signers hold, {need} are needed");
        let why = refused.iter().fold(why, |why, refused| format!("{why}; {refused}"));
        let source = Error::Stranger { who: "nobody else".to_owned(), why };
        return Err(Failure::Refused { what: artifact, source });
    }
    let wrong = |source| Failure::Refused { what: artifact.clone(), source };
    if let Some(policy) = &question.policy {
        provenance::judge(&mut verified, policy, &question.clock).map_err(wrong)?;
    }
    for one in &verified {
        one.check(&question.clock).map_err(wrong)?;
    }
    let root = matches!(question.judges, Judges::Identities(_) | Judges::Keys(_)).then_some(question.root);
    let asked = question.policy.is_some();
    Ok((question.clock, Answer { artifact, root, clock: question.clock, verified, refused, signers, asked }))
}

impl Question {
    fn read(arguments: &Verify) -> Result<Question, Failure> {
        if arguments.threshold == Some(0) {
            return Err(Failure::Usage("a threshold of 0 would accept anything"));
        }
        let built = Timestamp::from_second(BUILT).unwrap_or(Timestamp::UNIX_EPOCH);
        let floor = arguments.floor.map_or(built, |floor| floor.max(built));
        let clock = Clock::new(arguments.now.unwrap_or_else(Timestamp::now), floor);
        let unusable = |path: &Path| {
            let path = path.display().to_string();
            |source| Failure::Unusable { path, source }
        };
        let (root, name) = match &arguments.trust_root {
            Some(path) => (Root::read(&small(path)?), path.clone()),
            None => (Root::public_good(), PathBuf::from("the trust root")),
        };
        let root = root.map_err(unusable(&name))?;
        let trust = Trust::new(&root, clock).map_err(unusable(&name))?;
        let policy = arguments
            .policy
            .as_ref()
            .map(|path| Policy::read(&text(path)?).map_err(unusable(path)))
            .transpose()?;
        Ok(Question { clock, root: root.digest(), trust, judges: Judges::read(arguments)?, policy })
    }

    fn who(&self) -> Result<Who<'_>, Failure> {
        match &self.judges {
            Judges::Identities(identities) => Ok(Who::Identities(identities)),
            Judges::Keys(keys) => Ok(Who::Keys(keys)),
            _ => Err(Failure::Usage("this signature needs --identity with --issuer, or --key in PEM")),
        }
    }

    /// Every bundle of a file. Without a threshold each must hold; with one, those that do are counted.
    fn file(&self, arguments: &Verify) -> Result<Held, Failure> {
        let path = Path::new(&arguments.artifact);
        let artifact = match Known::read(&arguments.artifact) {
            Some(known) => Artifact::known(known),
            None => {
                let failed = |source| Failure::Read { path: path.to_owned(), source };
                Artifact::read(&mut open(path)?).map_err(failed)?
            }
        };
        let (mut verified, mut refused) = (Vec::new(), Vec::new());
        for bundle in &arguments.bundle {
            match self.bundle(bundle, path, &artifact, arguments) {
                Ok(one) => verified.push(one),
                Err(failure @ Failure::Refused { .. })
                    if arguments.threshold.is_some() && failure.code() == NO =>
                {
                    let cause =
                        std::error::Error::source(&failure).map(ToString::to_string).unwrap_or_default();
                    refused.push(format!("{}: {cause}", bundle.display()));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Held { artifact: artifact.name(), verified, refused })
    }

    fn bundle(
        &self,
        path: &Path,
        file: &Path,
        artifact: &Artifact,
        arguments: &Verify,
    ) -> Result<Verified<Attested>, Failure> {
        let wrong = |source| Failure::Refused {
            what: format!("`{}` with `{}`", arguments.artifact, path.display()),
            source,
        };
        let bytes = small(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let start = text.trim_start();
        if start.starts_with("-----BEGIN SSH SIGNATURE-----") {
            let Judges::Ssh(allowed) = &self.judges else {
                return Err(Failure::Usage("an SSH signature needs --allowed-signers"));
            };
            let namespace = arguments.namespace.as_deref().unwrap_or(NAMESPACE);
            let principal = arguments.principal.as_deref();
            let asked = Asked { allowed, principal, namespace };
            let signed = ssh::verify(&text, artifact, &asked, &self.clock).map_err(wrong)?;
            return plain(signed, |name| name).map_err(wrong);
        }
        if start.starts_with("untrusted comment:") {
            let Judges::Minisign(keys) = &self.judges else {
                return Err(Failure::Usage("a minisign signature needs --key with a minisign key"));
            };
            return by_minisign(keys, &text, file, artifact, wrong);
        }
        if !start.starts_with('{') {
            let Judges::Keys(keys) = &self.judges else {
                return Err(Failure::Usage("a bare signature needs --key in PEM"));
            };
            let signature = claw_verify::base64(&text).map_err(wrong)?;
            return sigstore::detached(&signature, artifact, keys).map_err(wrong);
        }
        let value = claw_verify::json::value("signature", &bytes).map_err(wrong)?;
        if value.get("payloadType").is_some() {
            let Judges::Keys(keys) = &self.judges else {
                return Err(Failure::Usage("a DSSE envelope needs --key in PEM"));
            };
            let envelope = Envelope::read(&bytes).map_err(wrong)?;
            return sigstore::envelope(&envelope, artifact, keys).map_err(wrong);
        }
        let bundle = Bundle::read(&bytes).map_err(wrong)?;
        bundle.verify(artifact, self.who()?, &self.trust).map_err(wrong)
    }
}

impl Judges {
    /// How many different ones of those who were asked signed: who has two keys or two names that one entry asks for is one.
    fn count(&self, verified: &[Verified<Attested>]) -> usize {
        let who = |signer: &Signer| match (self, signer) {
            (Judges::Identities(asked), Signer::Identity { identity, issuer }) => {
                let entry =
                    asked.iter().position(|one| one.identity.matches(identity) && one.issuer.matches(issuer));
                entry.map_or_else(|| signer.to_string(), |entry| entry.to_string())
            }
            _ => signer.to_string(),
        };
        let mut others = BTreeSet::new();
        let mut people: Vec<BTreeSet<String>> = Vec::new();
        for signer in verified.iter().flat_map(Verified::signers) {
            let Signer::Ssh { principal, .. } = signer else {
                others.insert(who(signer));
                continue;
            };
            // An entry may list many names; entries that share one are one person's.
            let mut names: BTreeSet<_> = principal.split(',').map(str::to_owned).collect();
            people.retain(|one| {
                let apart = one.is_disjoint(&names);
                if !apart {
                    names.extend(one.iter().cloned());
                }
                apart
            });
            people.push(names);
        }
        others.len().saturating_add(people.len())
    }

    fn read(arguments: &Verify) -> Result<Judges, Failure> {
        let unusable = |path: &Path, source| Failure::Unusable { path: path.display().to_string(), source };
        if let (Some(issuer), [_, ..]) = (&arguments.issuer, arguments.identity.as_slice()) {
            let named = |text: &String| match text.contains('*') {
                true => Pattern::new(text).map(Name::Pattern),
                false => Ok(Name::Exact(text.clone())),
            };
            let usage = |source| Failure::Unusable { path: "--identity".to_owned(), source };
            let issuer = named(issuer).map_err(usage)?;
            let identities = arguments.identity.iter().map(|identity| {
                Ok(Identity { identity: named(identity).map_err(usage)?, issuer: issuer.clone() })
            });
            return Ok(Judges::Identities(identities.collect::<Result<_, Failure>>()?));
        }
        if let Some(path) = &arguments.allowed_signers {
            return Ok(Judges::Ssh(Allowed::read(&text(path)?).map_err(|source| unusable(path, source))?));
        }
        let (mut keys, mut minisign) = (Vec::new(), Vec::new());
        for path in &arguments.key {
            let text = text(path)?;
            if text.contains("-----BEGIN") {
                keys.push(PublicKey::from_pem(&text).map_err(|source| unusable(path, source))?);
            } else {
                minisign.push(minisign::Key::read(&text).map_err(|source| unusable(path, source))?);
            }
        }
        match (keys.is_empty(), minisign.is_empty()) {
            (false, true) => {
                let keys = Keys::new(keys, 1).map_err(|source| unusable(Path::new("--key"), source))?;
                Ok(Judges::Keys(keys))
            }
            (true, false) => Ok(Judges::Minisign(minisign)),
            (true, true) => Err(Failure::Usage(
                "nobody is named who must have signed; hint: --identity with --issuer, --key, or --allowed-signers",
            )),
            (false, false) => Err(Failure::Usage("keys in PEM and of minisign cannot be mixed")),
        }
    }
}

fn by_minisign(
    keys: &[minisign::Key],
    signature: &str,
    file: &Path,
    artifact: &Artifact,
    wrong: impl Fn(Error) -> Failure,
) -> Result<Verified<Attested>, Failure> {
    let mut last = Error::Stranger { who: "nobody".to_owned(), why: "no key is named".to_owned() };
    for key in keys {
        match key.verify(signature, &mut open(file)?) {
            Ok(signed) if signed.value().artifact.to_string() == artifact.name() => {
                return plain(signed, |signed| signed.artifact.to_string()).map_err(wrong);
            }
            Ok(_) => last = Error::Artifact { why: "the file changed while it was read".to_owned() },
            Err(minisign::Failed::Refused(error)) => last = error,
            Err(minisign::Failed::Read(source)) => {
                return Err(Failure::Read { path: file.to_owned(), source });
            }
        }
    }
    Err(wrong(last))
}

fn plain<T>(verified: Verified<T>, name: impl FnOnce(T) -> String) -> Result<Verified<Attested>, Error> {
    verified.try_map(|value| {
        Ok(Attested { artifact: name(value), statement: None, claims: Claims::default(), times: Vec::new() })
    })
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|source| Failure::Read { path: path.to_owned(), source })
}

/// A document: bounded, since it is held.
fn small(path: &Path) -> Result<Vec<u8>, Failure> {
    bounded(path, open(path)?)
}

fn bounded(path: &Path, file: File) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let most = claw_verify::json::LARGEST as u64;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if most < bytes.len() as u64 {
        return Err(failed(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes"),
        )));
    }
    Ok(bytes)
}

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = small(path)?;
    String::from_utf8(bytes).map_err(|error| Failure::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// What an SSH signature is for where nothing else was agreed on.
const NAMESPACE: &str = "file";

/// No build of this version is older: a clock that says so is wrong. 2026-11-01.
const BUILT: i64 = 1_793_491_200;
