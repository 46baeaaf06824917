//! Whose certificates the receivers of alerts may have: public authorities', which are in the program, and
//! those of a file.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The authorities beside the public ones.
#[derive(Clone, Debug, Default)]
pub struct Trust(Vec<CertificateDer<'static>>);

impl Trust {
    /// From a file of certificates in PEM; `None`: there are none in it, or they cannot be read.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        all.ok().filter(|all| !all.is_empty()).map(Self)
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}
