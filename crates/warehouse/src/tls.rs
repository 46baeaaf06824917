//! TLS to PostgreSQL, with the words of libpq: `sslmode=disable|prefer|require|verify-ca|verify-full`
//! and `sslrootcert=<file>` in the address.
//!
//! As in libpq, `prefer` (the default) and `require` encrypt without asking who answers; Debian's
//! server comes with a certificate that it signed itself. `require` with a file is `verify-ca`, as there.
//! `verify-ca` and `verify-full` both check certificate and host name, against the file or else the
//! public authorities.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, Result};

/// The words of `sslmode` that are taken. libpq has `allow` too, which the driver has not.
pub(crate) const MODES: &str = "disable, prefer, require, verify-ca and verify-full";

/// What an address says about TLS.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    verify: bool,
    root_file: Option<String>,
}

impl Wish {
    /// Whether the server's certificate is checked.
    pub(crate) fn verifies(&self) -> bool {
        self.verify
    }

    /// The file of authorities.
    pub(crate) fn root_file(&self) -> Option<&str> {
        self.root_file.as_deref()
    }
}

/// Takes the words that the driver does not know out of an address.
pub(crate) fn split(url: &str) -> (String, Wish) {
    let mut wish = Wish::default();
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), wish);
    };
    let mut kept: Vec<String> = Vec::new();
    let mut mode = "prefer";
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", word)) => {
                mode = word;
                kept.push(match word {
                    "verify-ca" | "verify-full" => "sslmode=require".into(),
                    _ => pair.to_owned(),
                });
            }
            Some(("sslrootcert", "")) => wish.root_file = None,
            Some(("sslrootcert", file)) => wish.root_file = Some(decoded(file)),
            _ => kept.push(pair.to_owned()),
        }
    }
    wish.verify = match mode {
        "verify-ca" | "verify-full" => true,
        // Whoever names authorities wants them asked; a file that is missing is refused, not passed over.
        "require" => wish.root_file.is_some(),
        _ => false,
    };
    if kept.is_empty() {
        return (base.to_owned(), wish);
    }
    (format!("{base}?{}", kept.join("&")), wish)
}

/// Reads `%2F` and so on, as the driver does in the parameters that it knows.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(byte));
        rest = if coded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The client's side of TLS.
pub(crate) fn config(wish: &Wish) -> Result<ClientConfig> {
    let failed = |error: rustls::Error| Error::Unreachable(error.into());
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    if !wish.verify {
        let anybody = Arc::new(Anybody(provider));
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(anybody);
        return Ok(builder.with_no_client_auth());
    }
    let roots = match &wish.root_file {
        Some(file) => roots_of(file)?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of(file: &str) -> Result<RootCertStore> {
    let bad = |why: String| Error::Authorities(file.into(), why);
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in it".into()));
    }
    Ok(roots)
}

/// Takes any certificate; what is signed with it is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_libpq_are_understood() {
        let wish = |verify, root: Option<&str>| Wish {
            verify,
            root_file: root.map(str::to_owned),
        };
        for (url, kept, expected) in [
            ("postgres://h/d", "postgres://h/d", wish(false, None)),
            (
                "postgres://h/d?sslmode=require",
                "postgres://h/d?sslmode=require",
                wish(false, None),
            ),
            (
                "postgres://h/d?sslmode=verify-full",
                "postgres://h/d?sslmode=require",
                wish(true, None),
            ),
            (
                "postgres://h/d?a=b&sslmode=verify-ca&sslrootcert=/x.pem",
                "postgres://h/d?a=b&sslmode=require",
                wish(true, Some("/x.pem")),
            ),
            (
                "postgres://h/d?sslrootcert=/x.pem&sslmode=require",
                "postgres://h/d?sslmode=require",
                wish(true, Some("/x.pem")),
            ),
            (
                "postgres://h/d?sslmode=require&sslrootcert=",
                "postgres://h/d?sslmode=require",
                wish(false, None),
            ),
            (
                "postgres://h/d?sslmode=prefer&sslrootcert=/x.pem",
                "postgres://h/d?sslmode=prefer",
                wish(false, Some("/x.pem")),
            ),
            // As `airflow/` writes it.
            (
                "postgres://h/d?sslmode=verify-ca&sslrootcert=%2Fa%20b.pem",
                "postgres://h/d?sslmode=require",
                wish(true, Some("/a b.pem")),
            ),
            (
                "postgres://h/d?sslmode=verify-ca&sslrootcert=/100%25%.p%C3%A8m%",
                "postgres://h/d?sslmode=require",
                wish(true, Some("/100%%.pèm%")),
            ),
            // The last one counts, as in the driver.
            (
                "postgres://h/d?sslmode=verify-full&sslmode=disable",
                "postgres://h/d?sslmode=require&sslmode=disable",
                wish(false, None),
            ),
        ] {
            assert_eq!(split(url), (kept.to_owned(), expected), "{url}");
        }
    }

    #[test]
    fn a_root_file_that_is_none_is_named() {
        let wish = Wish {
            verify: true,
            root_file: Some("/nowhere.pem".into()),
        };
        let error = config(&wish).unwrap_err();
        assert!(error.to_string().contains("/nowhere.pem"), "{error}");
    }
}
