//! The box's key and certificate towards the cloud, and how they are renewed.
//!
//! ```text
//! <state>/identity/          0700, the daemon's
//!   gateway.key  gateway.pem   in use: private key and certificate chain
//!   next.key     request.pem   made by `blockgate certificate request`: the new key, and what the CA signs
//!   before.key   before.pem    what was in use until the last installation
//!   ca.pem       password
//! ```
//!
//! The old pair stays in use until a certificate for the new key is installed, and is kept beside it then:
//! the broker must go on trusting it until the new one was seen (overlap). No private key ever leaves the
//! box.

use crate::http::secret_file;
use anyhow::{Context, bail, ensure};
use blockgate_types::Time;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder of one box's keys and certificates.
#[derive(Debug, Clone)]
pub struct Identity {
    folder: PathBuf,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when it is good.
    pub from: Time,
    /// Until when.
    pub until: Time,
}

impl Identity {
    /// The identity that is kept in a state directory.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(super::IDENTITY) }
    }

    /// The CA certificates that the broker's must be signed by.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Our certificate chain.
    #[must_use]
    pub fn cert(&self) -> PathBuf {
        self.folder.join("gateway.pem")
    }

    /// Our private key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.join("gateway.key")
    }

    /// The password file.
    #[must_use]
    pub fn password(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// What a CA is to sign.
    #[must_use]
    pub fn request(&self) -> PathBuf {
        self.folder.join("request.pem")
    }

    fn next_key(&self) -> PathBuf {
        self.folder.join("next.key")
    }

    /// Makes the folder, for the owner of the state directory alone.
    ///
    /// # Errors
    /// The disk's.
    pub fn prepare(&self) -> anyhow::Result<()> {
        let of = || self.folder.display().to_string();
        fs::create_dir_all(&self.folder).with_context(of)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700)).with_context(of)?;
        self.own(&self.folder)
    }

    /// Gives a file to whoever owns the state directory: root provisions, the daemon reads.
    fn own(&self, path: &Path) -> anyhow::Result<()> {
        let state = self.folder.parent().unwrap_or_else(|| Path::new("/"));
        let owner = fs::metadata(state).with_context(|| state.display().to_string())?;
        let had = fs::metadata(path).with_context(|| path.display().to_string())?;
        if (had.uid(), had.gid()) != (owner.uid(), owner.gid()) {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
                .with_context(|| format!("give {} to the daemon's user", path.display()))?;
        }
        Ok(())
    }

    /// Writes one file of the folder, 0600.
    ///
    /// # Errors
    /// The disk's; the old file is then still whole.
    pub fn put(&self, path: &Path, content: &str) -> anyhow::Result<()> {
        secret_file::write(path, content.as_bytes())?;
        self.own(path)
    }

    /// Makes the next key and the request for its certificate; the pair in use stays in use. A second
    /// call before the installation gives the same request again, so that a CA that was asked twice
    /// signs for one key.
    ///
    /// # Errors
    /// The disk's.
    pub fn make_request(&self, tenant: &str, gateway: &str) -> anyhow::Result<String> {
        self.prepare()?;
        let kept = (self.next_key().exists(), fs::read_to_string(self.request()));
        if let (true, Ok(request)) = kept {
            return Ok(request);
        }
        let key = KeyPair::generate().context("make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, tenant);
        params.distinguished_name.push(DnType::CommonName, gateway);
        let request = params.serialize_request(&key).context("make a certificate request")?;
        let request = request.pem().context("write a certificate request")?;
        self.put(&self.next_key(), &key.serialize_pem())?;
        self.put(&self.request(), &request)?;
        Ok(request)
    }

    /// Installs a pair that was made elsewhere.
    ///
    /// # Errors
    /// When key and certificate do not belong together; nothing was changed then.
    pub fn install_pair(&self, chain: &str, key: &str) -> anyhow::Result<Shown> {
        fits(chain, key)?;
        self.prepare()?;
        self.replace(chain, key)?;
        show(chain)
    }

    /// Installs a certificate that a CA signed for the key of [`Identity::make_request`], or once more
    /// for the key in use. The pair before is kept as `before.key` and `before.pem`.
    ///
    /// # Errors
    /// When it is for another key, or not good at `now`; nothing was changed then.
    pub fn install(&self, chain: &str, now: Time) -> anyhow::Result<Shown> {
        let shown = show(chain)?;
        ensure!(
            shown.until > now,
            "the certificate ended at {}; ask the CA for a new one",
            shown.until
        );
        ensure!(
            shown.from <= now,
            "the certificate begins at {} and this box's clock says {now}",
            shown.from
        );
        let next = fs::read_to_string(self.next_key());
        let present = fs::read_to_string(self.key());
        let key = [next, present]
            .into_iter()
            .flatten()
            .find(|key| fits(chain, key).is_ok())
            .context("the certificate is for another key: sign the request that `blockgate certificate request` prints")?;
        self.replace(chain, &key)?;
        for path in [self.next_key(), self.request()] {
            secret_file::remove(&path)?;
        }
        Ok(shown)
    }

    /// The key first: a daemon that reads between the two files finds a pair that does not fit and keeps
    /// the one it has loaded.
    fn replace(&self, chain: &str, key: &str) -> anyhow::Result<()> {
        for (now, before) in [(self.key(), "before.key"), (self.cert(), "before.pem")] {
            if let Ok(text) = fs::read_to_string(&now) {
                self.put(&self.folder.join(before), &text)?;
            }
        }
        self.put(&self.key(), key)?;
        self.put(&self.cert(), chain)
    }
}

/// Whether a key belongs to the first certificate of a chain.
fn fits(chain: &str, key: &str) -> anyhow::Result<()> {
    crate::install_crypto();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .context("the certificate is not PEM")?;
    let Some(first) = chain.first() else { bail!("the file holds no certificate") };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("the key is not PEM")?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .context("the key is of a kind that TLS does not use")?;
    let certified = rustls::sign::CertifiedKey::new(vec![first.clone()], key);
    certified.keys_match().context("key and certificate do not belong together")
}

/// What the first certificate of a chain says.
///
/// # Errors
/// When it is no certificate.
pub fn show(chain: &str) -> anyhow::Result<Shown> {
    let first = CertificateDer::from_pem_slice(chain.as_bytes())
        .context("the file holds no PEM certificate")?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&first)
        .map_err(|error| anyhow::anyhow!("not an X.509 certificate: {error}"))?;
    let time =
        |at: x509_parser::time::ASN1Time| Time::from_millis(at.timestamp().saturating_mul(1000));
    Ok(Shown {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        from: time(parsed.validity().not_before),
        until: time(parsed.validity().not_after),
    })
}
