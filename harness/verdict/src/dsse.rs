//! The envelope around a signed statement: DSSE 1.0.2.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use crate::key::{Private, Public};

/// Type of the payload: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// An envelope. Consumers ignore fields that they do not know, so unknown ones are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The statement, Base64.
    pub payload: String,
    /// [`PAYLOAD_TYPE`].
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Signatures over type and statement.
    pub signatures: Vec<Signature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// A hint which key made it. Nobody vouches for it.
    #[serde(default)]
    pub keyid: String,
    /// The signature, Base64.
    pub sig: String,
}

/// An envelope that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is no envelope.
    #[error("line {line}, column {column}: this is no DSSE envelope: {message}")]
    NoEnvelope {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the reader says.
        message: String,
    },
    /// The statement or a signature is no Base64.
    #[error("its `{field}` is no Base64")]
    NotBase64 {
        /// Which field.
        field: &'static str,
    },
    /// It holds something else.
    #[error("its payload is `{0}`, not an in-toto statement")]
    OtherPayload(String),
    /// No signature is by this key.
    #[error("none of its {0} signatures was made with this key over this payload")]
    Unsigned(usize),
}

/// What is signed: type and body with their lengths, so that neither can be taken for the other.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

/// Signs a statement.
#[must_use]
pub fn sign(statement: &str, key: &Private) -> Envelope {
    let signature = key.sign(&pre_authentication_encoding(PAYLOAD_TYPE, statement.as_bytes()));
    Envelope {
        payload: STANDARD.encode(statement),
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures: vec![Signature { keyid: key.public().id(), sig: STANDARD.encode(signature) }],
    }
}

impl Envelope {
    /// As a file.
    ///
    /// # Panics
    /// Never: an envelope is plain data.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("an envelope is plain data");
        text.push('\n');
        text
    }
}

/// Verifies an envelope and hands back the very bytes that were verified: only these may be read further.
///
/// # Errors
/// [`EnvelopeError`] when it is none, or not signed with this key.
pub fn open(file: &[u8], key: &Public) -> Result<Vec<u8>, EnvelopeError> {
    let envelope: Envelope = serde_json::from_slice(file).map_err(|e| EnvelopeError::NoEnvelope {
        line: e.line(),
        column: e.column(),
        message: e.to_string(),
    })?;
    let body = decode(&envelope.payload, "payload")?;
    let message = pre_authentication_encoding(&envelope.payload_type, &body);
    let mut signed = false;
    for signature in &envelope.signatures {
        // The hint is not looked at: it is not part of what is signed.
        signed |= key.verifies(&message, &decode(&signature.sig, "sig")?);
    }
    if !signed {
        return Err(EnvelopeError::Unsigned(envelope.signatures.len()));
    }
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(EnvelopeError::OtherPayload(envelope.payload_type));
    }
    Ok(body)
}

/// Standard and URL-safe Base64, with or without padding: the specification allows both.
fn decode(text: &str, field: &'static str) -> Result<Vec<u8>, EnvelopeError> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = GeneralPurpose::new(&alphabet::STANDARD, config);
    let url_safe = GeneralPurpose::new(&alphabet::URL_SAFE, config);
    standard.decode(text).or_else(|_| url_safe.decode(text)).map_err(|_| EnvelopeError::NotBase64 { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Private {
        Private::of_seed(&[7; 32])
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let seen = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(seen, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn what_was_signed_comes_out_and_nothing_else_does() {
        let file = sign("{\"a\":1}", &key()).json();
        assert_eq!(open(file.as_bytes(), &key().public()).expect("signed"), b"{\"a\":1}");
        let stranger = Private::of_seed(&[8; 32]).public();
        assert_eq!(open(file.as_bytes(), &stranger), Err(EnvelopeError::Unsigned(1)));
    }

    #[test]
    fn a_changed_letter_anywhere_in_payload_type_or_signature_is_seen() {
        let good = sign("{\"a\":1}", &key());
        let swap = |text: &str, at: usize| -> String {
            let mut letters: Vec<char> = text.chars().collect();
            letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
            letters.into_iter().collect()
        };
        for at in 0..good.payload.len() {
            let bad = Envelope { payload: swap(&good.payload, at), ..good.clone() };
            assert!(open(bad.json().as_bytes(), &key().public()).is_err(), "payload {at}");
        }
        for at in (0..good.payload_type.len()).step_by(5) {
            let bad = Envelope { payload_type: swap(&good.payload_type, at), ..good.clone() };
            assert!(open(bad.json().as_bytes(), &key().public()).is_err(), "type {at}");
        }
        // The last letter before the padding carries bits that belong to no byte.
        for at in (0..good.signatures[0].sig.len() - 3).step_by(9) {
            let mut bad = good.clone();
            bad.signatures[0].sig = swap(&good.signatures[0].sig, at);
            assert!(open(bad.json().as_bytes(), &key().public()).is_err(), "signature {at}");
        }
        let none = Envelope { signatures: Vec::new(), ..good };
        assert_eq!(open(none.json().as_bytes(), &key().public()), Err(EnvelopeError::Unsigned(0)));
    }

    #[test]
    fn both_alphabets_are_read_and_the_hint_is_ignored() {
        let mut envelope = sign("{\"text\":\"???>>>~~~\"}", &key());
        let url = |text: &str| text.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
        envelope.payload = url(&envelope.payload);
        envelope.signatures[0].sig = url(&envelope.signatures[0].sig);
        envelope.signatures[0].keyid = "somebody else".to_owned();
        assert!(open(envelope.json().as_bytes(), &key().public()).is_ok());
    }
}
