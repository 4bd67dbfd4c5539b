//! Certificates of the demo and of tests: a CA made for this run, with a server's and a client's
//! certificate below it. Keys are files of mode 0600; nothing here is meant to be trusted by others.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A broker.
    Server,
    /// A gateway or a cloud.
    Client,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key, PKCS#8.
    pub key: String,
}

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Validity in whole years, `2026..2036`.
pub type Years = std::ops::Range<i32>;

/// Long enough for every demo, short enough to be no habit.
const YEARS: Years = 2020..2100;

impl Authority {
    /// A new CA of this name.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = rcgen::date_time_ymd(YEARS.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(YEARS.end, 1, 1);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The CA's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for these names and addresses.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(&self, purpose: Purpose, names: &[&str]) -> Result<Pair, rcgen::Error> {
        self.issue_for(purpose, names, YEARS)
    }

    /// Issues a certificate that is valid in these years only.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue_for(
        &self,
        purpose: Purpose,
        names: &[&str],
        years: Years,
    ) -> Result<Pair, rcgen::Error> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let common = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, common);
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
    }
}

/// Where the demo's certificates lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The CA's certificate.
    pub ca: PathBuf,
    /// The broker's certificate and key.
    pub server: (PathBuf, PathBuf),
    /// The gateway's certificate and key.
    pub gateway: (PathBuf, PathBuf),
    /// The cloud's certificate and key.
    pub cloud: (PathBuf, PathBuf),
}

/// Makes a CA and three certificates and writes them to `dir`, which is made: `ca.crt`, and
/// `server`, `gateway` and `cloud` with `.crt` and `.key`. The server's is good for this machine only.
/// The CA's key is not kept: nobody can issue more.
///
/// # Errors
/// When a key cannot be made or a file cannot be written.
pub fn write(dir: &Path) -> io::Result<Folder> {
    std::fs::create_dir_all(dir)?;
    let authority = Authority::new("blockgate demo CA").map_err(io::Error::other)?;
    let ca = dir.join("ca.crt");
    put(&ca, &authority.pem(), 0o644)?;
    let pair = |name: &str, purpose, names: &[&str]| -> io::Result<(PathBuf, PathBuf)> {
        let pair = authority.issue(purpose, names).map_err(io::Error::other)?;
        let (cert, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        put(&cert, &pair.cert, 0o644)?;
        put(&key, &pair.key, 0o600)?;
        Ok((cert, key))
    };
    Ok(Folder {
        server: pair("server", Purpose::Server, &["localhost", "127.0.0.1", "::1"])?,
        gateway: pair("gateway", Purpose::Client, &["gateway"])?,
        cloud: pair("cloud", Purpose::Client, &["cloud"])?,
        ca,
    })
}

fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = write(&dir.path().join("tls")).unwrap();
        for (_, key) in [&folder.server, &folder.gateway, &folder.cloud] {
            let mode = std::fs::metadata(key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", key.display());
        }
    }
}
