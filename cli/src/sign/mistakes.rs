//! The mistakes that are known by name.

/// One way to get a signature, or a request, wrong.
pub struct Mistake {
    /// Its name, which stays.
    pub id: &'static str,
    /// What happened. `{}` is the detail: a field, a setting.
    pub what: &'static str,
    /// What to do.
    pub cure: &'static str,
}

/// One mistake that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub id: &'static str,
    /// Which field, which setting; empty if there is nothing to tell.
    pub detail: String,
}

impl Found {
    /// A mistake with its detail.
    pub fn new(id: &'static str, detail: impl Into<String>) -> Found {
        Found { id, detail: detail.into() }
    }

    /// What happened, in words.
    pub fn what(&self) -> String {
        let detail = if self.detail.is_empty() { "something" } else { &self.detail };
        known(self.id).map_or(String::new(), |m| m.what.replace("{}", detail))
    }

    /// What to do, in words.
    pub fn cure(&self) -> String {
        let detail = if self.detail.is_empty() { "it" } else { &self.detail };
        known(self.id).map_or(String::new(), |m| m.cure.replace("{}", detail))
    }
}

/// The mistake of this name.
pub fn known(id: &str) -> Option<&'static Mistake> {
    MISTAKES.iter().find(|m| m.id == id)
}

const fn m(id: &'static str, what: &'static str, cure: &'static str) -> Mistake {
    Mistake { id, what, cure }
}

/// Every mistake there is a name for.
#[rustfmt::skip]
pub const MISTAKES: &[Mistake] = &[
    // The time.
    m("timestamp-milliseconds", "timestamp has 13 digits: milliseconds", "send whole seconds, 10 digits, and sign the same"),
    m("timestamp-seconds", "timestamp has 10 digits, but the account is set to milliseconds", "send 13 digits, or set timestamp_unit to s"),
    m("timestamp-unit-differs", "one unit of time was signed and another one sent ({})", "make the text once and use it for both"),
    m("timestamp-drift", "the clock was read twice: another moment was signed than sent ({})", "read the clock once and use the text for both"),
    // The order of fields, and which of them.
    m("not-sorted", "the fields are not in the order of their names ({})", "sort by name before joining; a map without an order will not do"),
    m("sorted-ignoring-case", "the names were sorted as if capitals were small letters", "sort byte by byte: capitals come before small letters"),
    m("field-left-out", "{} is sent but not signed", "put every field but sign into the signed text"),
    m("field-added", "{} is in the signed text but not sent", "sign what is sent, nothing else"),
    m("field-missing", "{} is missing in the request", "send {} too, and sign it"),
    m("empty-dropped", "empty fields were left out of the signed text", "this platform signs empty fields too: name= stays"),
    m("empty-kept", "empty fields are in the signed text", "leave fields without a value out of the signed text, and do not send them"),
    m("empty-as-text", "an empty field was signed as the text {}", "an empty value is no text: leave it empty or leave it out, as the platform has it"),
    m("blank-in-value", "{} has a space or a line break at its end or beginning, in one of the two places", "trim values before anything is done with them"),
    m("names-changed", "the names of the fields were signed in other letters ({})", "names are signed exactly as they are sent"),
    m("values-quoted", "values stand in quotes in the signed text", "sign the value, not its JSON form"),
    m("number-as-float", "a number was signed in another spelling ({})", "send and sign numbers as texts; a float prints them differently"),
    m("wrong-app-id", "{} is not the account's", "check from which account the id was copied"),
    m("wrong-constant", "{} is not what the platform wants", "send {} exactly as documented, letters included"),
    // URL-encoding.
    m("url-encoded", "values were URL-encoded before they were signed", "sign the raw values; encode only what goes into the body"),
    m("url-encoded-lower-hex", "values were URL-encoded with lower-case hex before they were signed", "sign the raw values; encode only what goes into the body"),
    m("url-encoded-twice", "values were URL-encoded twice before they were signed", "sign the raw values; encode only what goes into the body"),
    m("url-encoded-whole", "the whole text was URL-encoded before it was hashed", "hash the text as it is"),
    m("not-url-encoded", "values were signed raw, but the account's sign_value_encoding is query", "encode the values in the signed text, or set sign_value_encoding to raw"),
    m("double-encoded", "{} is URL-encoded twice in the body", "encode once: a library that takes fields does it already"),
    m("not-encoded", "{} holds an & or a = that is not encoded in the body, so it is split in two", "URL-encode every value in the body"),
    m("plus-not-encoded", "a + in {} is not encoded in the body and arrives as a space", "write %2B; sign the +"),
    // JSON inside a value, or as the body.
    m("json-spaces", "the JSON was signed with other spaces between its parts than were sent ({})", "make the JSON text once, sign it and send the same text"),
    m("json-sorted", "the keys of the JSON were in another order when it was signed", "make the JSON text once, sign it and send the same text"),
    m("json-slashes", "slashes in the JSON were signed in the other spelling, \\/ for / or the reverse", "make the JSON text once, sign it and send the same text"),
    m("json-unicode", "letters outside ASCII were signed in the other spelling, \\uXXXX for the letter or the reverse", "make the JSON text once, sign it and send the same text"),
    m("json-numbers", "numbers in the JSON were texts when it was signed, or the reverse", "make the JSON text once, sign it and send the same text"),
    m("biz-content-object", "biz_content is a JSON object in the body", "it is a text that holds JSON: put it in quotes, escaped"),
    // Copied from a web page.
    m("html-entity", "&times or &not was read as HTML: the text holds × where &times stood", "copy from the page's source; never let a template or browser read the text"),
    m("amp-entity", "& became &amp; on the way", "undo HTML escaping before signing and sending"),
    // How the text is joined.
    m("separator", "the fields are joined by {} instead of &", "join with a single &"),
    m("no-equals", "names and values are not joined by =", "write name=value"),
    m("values-only", "only the values were signed", "write name=value"),
    m("leading-text", "{} stands before the text", "the text begins with the first name"),
    m("trailing-newline", "a line break stands behind the text, or behind the secret", "trim the secret when it is read from a file; use printf, not echo"),
    m("trailing-blank", "a space or another stray character stands at the end of the text, or of the secret ({})", "trim the secret; it was pasted with it"),
    m("letters-changed", "the text was turned to {} letters before it was hashed", "hash the text as it is"),
    // The secret.
    m("wrong-secret", "signed with {} instead of the right secret", "use the right one of the two; the account's page names both"),
    m("secret-blank", "the secret was used with a space, a quote or another stray character ({})", "trim it; it was pasted with it"),
    m("secret-changed", "the secret was {} before it was used", "use the secret as it is"),
    m("secret-wrong-name", "{} stands before the secret", "put before it exactly what the platform documents"),
    m("secret-without-name", "&key= is missing before the secret", "append &key= and the secret"),
    m("secret-not-joined", "the & before the secret is missing", "put an & between the last field and the secret"),
    m("secret-in-front", "the secret stands in front of the text", "the secret goes to the end"),
    m("secret-both-ends", "the secret stands at both ends", "the secret goes to the end only"),
    m("secret-missing", "the text was signed without the secret", "append the secret before hashing"),
    m("secret-as-field", "the secret was sorted among the fields, as {}", "append it at the end, behind the sorted fields"),
    m("parts-order", "the parts stand in another order ({})", "client_id, then the content, then the secret"),
    m("wrong-content", "{} was signed instead of the right content", "the header signs the body as it came; the field sign signs msg as it came"),
    m("msg-decoded", "msg was decoded before it was signed", "sign msg exactly as it stands in the body, still encoded"),
    // Letters into bytes, and bytes into a sign.
    m("gbk-signed", "the text was signed in GBK", "sign UTF-8 bytes"),
    m("gbk-sent", "the body is in GBK", "send UTF-8"),
    m("charset-signed", "the text was turned into bytes in the wrong way ({})", "sign UTF-8 bytes"),
    m("hmac", "HMAC was used", "plain MD5 over the text with the secret in it"),
    m("wrong-digest", "{} was used", "plain MD5, all 32 hex digits"),
    m("sign-case", "the signature is in {} letters", "write the signature in the case that the platform documents"),
    m("sign-missing", "there is no signature in the request", "add it; pass --sign to have one explained"),
    m("text-cut", "the text was cut at {}: its buffer was too small", "give snprintf a buffer for the longest text, and compare what it returns with the size"),
    m("text-length", "more or fewer bytes than the text has were hashed ({})", "hash strlen of the text, neither the buffer's size nor the NUL at its end"),
    m("secret-cut", "the secret was cut to {}", "give it a buffer with room for the NUL, and compare lengths after copying it"),
    m("secret-letter", "the secret differs in one letter ({})", "copy it again from the vendor's page, do not type it"),
    m("value-case", "{} was signed in other letters than it was sent", "make the text once and use it for both"),
    m("biz-content-flattened", "the parameters in biz_content were signed as fields of their own", "sign biz_content as one text, exactly as it is sent"),
    m("json-python", "a Python dict was printed instead of JSON ({})", "make the text with json.dumps once, sign it and send the same text"),
    m("json-html-safe", "& = < > or ' in the JSON were signed in the other spelling, \\u0026 for & or the reverse", "switch HTML escaping off (Gson: disableHtmlEscaping), or sign the very text that is sent"),
    m("unicode-form", "letters were signed in another Unicode normalization than they were sent ({})", "make the text once and use it for both"),
    m("digest-bytes", "the bytes of the MD5 were written in the wrong way ({})", "write the 16 bytes in their order as unsigned char, each with %02x"),
    m("sign-cut", "the signature is not complete ({})", "an MD5 has 32 hex digits"),
    // How the request is written.
    m("base64-variant", "payload is not standard Base64 ({})", "use the standard alphabet with padding, on one line"),
    m("payload-missing", "the fields stand in the body without a payload", "send {\"payload\": Base64 of the JSON}"),
    m("form-not-json", "the body is a form", "send JSON, with Content-Type: application/json"),
    m("header-missing", "the header {} is missing", "send {} with every call"),
    m("header-wrong", "the header {} is not the account's", "check which value goes into which header"),
    // Zhiyun.
    m("p-formula", "p_ is made by another formula ({})", "p_ = (t_ % 10000) * 3 + 2345, with the very t_ that is sent"),
    m("p-unit", "p_ is made of the other unit of time than t_ ({})", "p_ = (t_ % 10000) * 3 + 2345, with the very t_ that is sent"),
    m("basic-form", "the Authorization header is not Basic and Base64 of client_id:client_secret ({})", "Basic, a space, Base64 of client_id:client_secret, without a line break"),
    m("basic-swapped", "client_id and client_secret are swapped in the Authorization header", "client_id before the colon"),
    m("client-id-differs", "client_id is not the same in the query and in the Authorization header", "send the same in both"),
    m("token-changed", "access_token is not the account's ({})", "send it exactly as it was given, small letters"),
];
