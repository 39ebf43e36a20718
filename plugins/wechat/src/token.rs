//! The token with which messages are sent.
//!
//! It is kept in the plugin's state, under a name and behind a mask that are made of the company's secret: what stands on
//! the disk is of no use to whoever has not got the secret as well.

use std::time::Duration;

use foghorn_plugin::notifier::*;
use serde_json::Value;

use crate::{accepted, base_and_query, form_encoded, read};

/// How long a token holds if WeChat does not say.
const USUAL_TIME: Duration = Duration::from_secs(7200);
/// It is not used so shortly before its end.
const SPARE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The one that an earlier message was sent with, if it still holds.
    pub(crate) fn kept() -> Result<Option<Token>> {
        let Some((nonce, masked)) = state::get::<(i64, Vec<u8>)>(&place()?)? else { return Ok(None) };
        Ok(String::from_utf8(mask(nonce, &masked)?).ok().map(Token))
    }

    /// Asks for one, and keeps it if the message can be sent with it.
    pub(crate) fn ask() -> Result<Token> {
        let company = form_encoded(&text("corp_id")?);
        let (base, _) = base_and_query(&text("api_url")?);
        let url = format!("{base}gettoken?corpid={company}&corpsecret={}", secret("api_secret")?);
        let asked = || {
            let said = read(&Request::get(url).send()?.check()?)?;
            accepted(&said)?;
            Ok(said)
        };
        let place_of_error = |error: Error| error.at("asking for a token");
        let said: Value = asked().map_err(place_of_error)?;
        let Some(token) = said["access_token"].as_str().filter(|token| !token.is_empty()) else {
            return Err(place_of_error(Error::new(ErrorKind::Unauthorized, "WeChat gave none")));
        };
        let time = said["expires_in"].as_u64().map_or(USUAL_TIME, Duration::from_secs).min(USUAL_TIME);
        let nonce = clock::now().0;
        let masked = mask(nonce, token.as_bytes())?;
        state::set_for(&place()?, &(nonce, masked), time.saturating_sub(SPARE))?;
        Ok(Token(token.to_owned()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The same error without the token in it.
    pub(crate) fn hidden(&self, error: Error) -> Error {
        let encoded = form_encoded(&self.0);
        let message = error.message.replace(&self.0, "<secret>").replace(&encoded, "<secret>");
        Error { message, ..error }
    }
}

/// Where the token of this company and this secret is kept.
fn place() -> Result<String> {
    let whose = format!("place/{}/{}", text("api_url")?, text("corp_id")?);
    let digest = secret::hmac_sha256("api_secret", whose.as_bytes())?;
    Ok(format!("token/{}", hex(&digest)))
}

/// `bytes` behind a mask, or without it: the mask is another for each `nonce`.
fn mask(nonce: i64, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    for (index, block) in bytes.chunks(32).enumerate() {
        let pad = secret::hmac_sha256("api_secret", format!("mask/{nonce}/{index}").as_bytes())?;
        out.extend(block.iter().zip(pad.iter().cycle()).map(|(byte, pad)| byte ^ pad));
    }
    Ok(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
