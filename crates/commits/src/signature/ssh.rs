//! SSH signatures, as git and `ssh-keygen -Y sign` make them: read and verified by `claw-verify`. Here stands what the gate says of one
//! that does not count.

use claw_verify::ssh::{Block, SshError, SshKey};

use super::Broken;

/// Verifies a signature with the key that it carries.
pub(super) fn verify(text: &str, payload: &[u8], purpose: &str) -> Result<SshKey, Broken> {
    Ok(Block::read(text)?.signer(purpose, payload)?)
}

impl From<SshError> for Broken {
    fn from(error: SshError) -> Broken {
        match error {
            SshError::More => Broken::More,
            SshError::Purpose { found, .. } => Broken::Purpose(found.escape_debug().to_string()),
            SshError::Algorithm(name) => Broken::Algorithm(name),
            SshError::SmallOrder => Broken::Algorithm("Ed25519 with a point of small order".to_owned()),
            SshError::Untouched => Broken::NotTouched,
            SshError::Wrong => Broken::Mismatch,
            SshError::Large
            | SshError::Unreadable(_)
            | SshError::Version(_)
            | SshError::Reserved
            | SshError::NoKey
            | SshError::Short
            | SshError::Numbers => Broken::Unreadable("SSH"),
        }
    }
}

#[cfg(test)]
mod tests {
    use claw_verify::ssh::SshKeyError;

    use super::*;

    macro_rules! data {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/data/verify/sshsig/", $name))
        };
    }

    /// Signatures of the examples of RustCrypto's ssh-key: the message is `testing`, the namespace `example`.
    const SIGNED: [(&str, &str); 5] = [
        (data!("sshsig_ed25519"), data!("id_ed25519.pub")),
        (data!("sshsig_ecdsa_p256"), data!("id_ecdsa_p256.pub")),
        (data!("sshsig_ecdsa_p384"), data!("id_ecdsa_p384.pub")),
        (data!("sshsig_rsa_3072"), data!("id_rsa_3072.pub")),
        (data!("sshsig_sk_ed25519"), data!("id_sk_ed25519_2.pub")),
    ];

    #[test]
    fn signatures_of_every_kind_hold_over_their_bytes_and_for_their_purpose() {
        for (signature, key) in SIGNED {
            let key = SshKey::parse(key).unwrap();
            assert_eq!(verify(signature, b"testing", "example"), Ok(key.clone()), "{key}");
            assert_eq!(verify(signature, b"tasting", "example"), Err(Broken::Mismatch), "{key}");
            assert_eq!(verify(signature, b"testing", "git"), Err(Broken::Purpose("example".into())), "{key}");
            let twice = format!("{signature}\n{signature}");
            assert_eq!(verify(&twice, b"testing", "example"), Err(Broken::More), "{key}");
        }
    }

    #[test]
    fn keys_of_a_broken_kind_are_refused() {
        let refused = verify(data!("sshsig_dsa_1024"), b"testing", "example");
        assert!(matches!(refused, Err(Broken::Algorithm(_))), "{refused:?}");
        assert!(matches!(SshKey::parse(data!("id_dsa_1024.pub")), Err(SshKeyError::Kind(_))));
        assert!(matches!(SshKey::parse(data!("id_opaque.pub")), Err(SshKeyError::Kind(_))));
        assert_eq!(SshKey::parse("ssh-ed25519 AAAA"), Err(SshKeyError::Unreadable));
    }

    #[test]
    fn a_block_with_a_reserved_field_or_too_large_is_refused() {
        let check = |text: &str| assert_eq!(verify(text, b"x", "git"), Err(Broken::Unreadable("SSH")));
        check(&format!("-----BEGIN SSH SIGNATURE-----\n{}\n", "A".repeat(1 << 16)));
        check(&reserved());
    }

    /// An Ed25519 signature whose field `reserved` says something. OpenSSH leaves it out of what it signs, so anybody could add it.
    fn reserved() -> String {
        let lines: String =
            data!("sshsig_ed25519").lines().filter(|line| !line.starts_with("-----")).collect();
        let mut blob = data_encoding::BASE64.decode(lines.as_bytes()).unwrap();
        // magic and version, then the key and the namespace, each behind its length
        let mut at = 10;
        for _ in 0..2 {
            let length: [u8; 4] = blob[at..at + 4].try_into().unwrap();
            at += 4 + usize::try_from(u32::from_be_bytes(length)).unwrap();
        }
        assert_eq!(blob[at..at + 4], [0; 4]);
        blob.splice(at..at + 4, [0, 0, 0, 1, b'x']);
        let text = data_encoding::BASE64.encode(&blob);
        let lines: Vec<&str> =
            text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
    }
}
