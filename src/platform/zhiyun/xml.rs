//! The XML of Zhiyun's answers: elements and text, as PHP's XML_Serializer writes them.
//!
//! Strict and small. Attributes are read over, comments and CDATA are understood. A DOCTYPE is refused, so that nothing is
//! ever expanded; entities are the five of XML and character references. Depth and count are bounded.

use crate::json::push_string;
use std::borrow::Cow;

const DEEPEST: usize = 32;
const MOST: usize = 100_000;

/// What is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) at: usize,
    pub(super) why: &'static str,
}

/// One element.
#[derive(Debug)]
pub(super) struct Element<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The elements in it.
    pub(super) children: Vec<Element<'a>>,
    /// Its text, if it has no elements.
    pub(super) text: String,
    /// The whole of it, tags included, as it came.
    pub(super) source: &'a str,
}

impl<'a> Element<'a> {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element<'a>> {
        self.children.iter().find(|c| c.name == name)
    }

    /// The same content as JSON: an element with elements becomes an object, or an array if all of them are called `item`;
    /// one without is a string, or null if it is empty, because an empty element is how both are written.
    pub(super) fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        if self.children.is_empty() {
            if self.text.is_empty() {
                out.push_str("null");
            } else {
                push_string(out, &self.text);
            }
            return;
        }
        let list = self.children.iter().all(|c| c.name == "item");
        out.push(if list { '[' } else { '{' });
        for (i, child) in self.children.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            if !list {
                push_string(out, child.name);
                out.push(':');
            }
            child.write(out);
        }
        out.push(if list { ']' } else { '}' });
    }
}

/// Reads a whole document.
pub(super) fn parse(bytes: &[u8]) -> Result<Element<'_>, Bad> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Bad { at: e.valid_up_to(), why: "is not UTF-8; perhaps GBK" })?;
    let mut reader = Reader { text, at: 0, count: 0 };
    reader.between()?;
    if reader.rest().is_empty() {
        return Err(reader.bad("is empty"));
    }
    if reader.rest().get(..5).is_some_and(|t| t.eq_ignore_ascii_case("<html")) {
        return Err(reader.bad("is a web page"));
    }
    let root = reader.element(0)?;
    reader.between()?;
    if reader.rest().is_empty() { Ok(root) } else { Err(reader.bad("goes on after its end")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    count: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn bad(&self, why: &'static str) -> Bad {
        Bad { at: self.at, why }
    }

    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    /// Skips to behind the next `end`.
    fn past(&mut self, end: &str) -> Result<&'a str, Bad> {
        let rest = self.rest();
        let found = rest.find(end).ok_or_else(|| self.bad("is cut off"))?;
        self.at += found + end.len();
        Ok(&rest[..found])
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// What may stand around the root.
    fn between(&mut self) -> Result<(), Bad> {
        loop {
            self.blanks();
            if self.take("<?") {
                self.past("?>")?;
            } else if self.take("<!--") {
                self.past("-->")?;
            } else if self.rest().starts_with("<!") {
                return Err(self.bad("has a DOCTYPE, which is not read"));
            } else {
                return Ok(());
            }
        }
    }

    fn name(&mut self) -> Result<&'a str, Bad> {
        let rest = self.rest();
        // Names may be in any script. Which characters are letters there does not matter, and the table of them is large.
        let letter = |c: char| c.is_ascii_alphabetic() || (!c.is_ascii() && !c.is_whitespace());
        let good = |c: char| letter(c) || c.is_ascii_digit() || matches!(c, '_' | '-' | '.' | ':');
        let end = rest.find(|c| !good(c)).unwrap_or(rest.len());
        if end == 0 || !rest.starts_with(|c: char| letter(c) || c == '_') {
            return Err(self.bad(if rest.is_empty() { "is cut off" } else { "has no name here" }));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn element(&mut self, depth: usize) -> Result<Element<'a>, Bad> {
        let start = self.at;
        if !self.take("<") {
            return Err(self.bad("is not XML"));
        }
        self.count += 1;
        if depth >= DEEPEST || self.count > MOST {
            return Err(self.bad("is nested too deeply or too long"));
        }
        let name = self.name()?;
        let mut element = Element { name, children: Vec::new(), text: String::new(), source: "" };
        if !self.attributes()? {
            self.content(&mut element, depth)?;
        }
        element.source = &self.text[start..self.at];
        Ok(element)
    }

    /// Reads over attributes to the tag's end; whether the element ended with it.
    fn attributes(&mut self) -> Result<bool, Bad> {
        loop {
            let before = self.at;
            self.blanks();
            if self.take("/>") {
                return Ok(true);
            }
            if self.take(">") {
                return Ok(false);
            }
            if self.at == before {
                return Err(self.bad(if self.rest().is_empty() { "is cut off" } else { "has a broken tag" }));
            }
            self.name()?;
            self.blanks();
            if !self.take("=") {
                return Err(self.bad("has an attribute without a value"));
            }
            self.blanks();
            let quote = if self.take("\"") {
                "\""
            } else if self.take("'") {
                "'"
            } else {
                return Err(self.bad("has an attribute without quotes"));
            };
            if self.past(quote)?.contains('<') {
                return Err(self.bad("has a < in an attribute"));
            }
        }
    }

    fn content(&mut self, element: &mut Element<'a>, depth: usize) -> Result<(), Bad> {
        loop {
            let rest = self.rest();
            let end = rest.find('<').ok_or_else(|| self.bad("is cut off"))?;
            if end > 0 {
                let text = self.unescape(&rest[..end])?;
                element.text.push_str(&text);
                self.at += end;
            }
            if self.take("</") {
                if self.name()? != element.name {
                    return Err(self.bad("closes another element than it opened"));
                }
                self.blanks();
                if !self.take(">") {
                    return Err(self.bad("has a broken tag"));
                }
                break;
            } else if self.take("<![CDATA[") {
                element.text.push_str(self.past("]]>")?);
            } else if self.take("<!--") {
                self.past("-->")?;
            } else if self.take("<?") {
                self.past("?>")?;
            } else if self.rest().starts_with("<!") {
                return Err(self.bad("has a declaration, which is not read"));
            } else {
                element.children.push(self.element(depth + 1)?);
            }
        }
        if element.children.is_empty() {
            return Ok(());
        }
        if element.text.bytes().all(|b| b.is_ascii_whitespace()) {
            element.text.clear();
            return Ok(());
        }
        Err(self.bad("has text beside elements"))
    }

    fn unescape(&self, text: &'a str) -> Result<Cow<'a, str>, Bad> {
        if !text.contains('&') {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('&') {
            out.push_str(before);
            let (entity, tail) =
                after.split_once(';').ok_or_else(|| self.bad("has a & that begins no entity"))?;
            let c = match entity {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                _ => {
                    let number = entity.strip_prefix('#').and_then(|n| match n.strip_prefix(['x', 'X']) {
                        Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16).ok(),
                        None if !n.starts_with('+') => n.parse().ok(),
                        _ => None,
                    });
                    number
                        .and_then(char::from_u32)
                        .filter(|c| *c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
                        .ok_or_else(|| self.bad("has an unknown entity"))?
                }
            };
            out.push(c);
            rest = tail;
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_serializer_writes() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apiResponse>\n  <data>\n    <auth_code>c3a8</auth_code>\n    <a />\n    <list><item>1</item><item/></list>\n  </data>\n  <code>200</code>\n  <message>ok</message>\n</apiResponse>";
        let root = parse(text.as_bytes()).unwrap();
        assert_eq!(
            root.json(),
            r#"{"data":{"auth_code":"c3a8","a":null,"list":["1",null]},"code":"200","message":"ok"}"#
        );
        assert!(root.child("data").unwrap().source.starts_with("<data>\n    <auth_code>"));
        assert!(root.child("data").unwrap().source.ends_with("</data>"));
    }

    #[test]
    fn entities_cdata_comments_and_attributes() {
        let text =
            "\u{feff}<!-- x --><r a='1' b=\"&gt;\"><!-- y -->&lt;&#x4e2d;&#65;&amp;amp;<![CDATA[<&]]>\"</r> ";
        assert_eq!(parse(text.as_bytes()).unwrap().text, "<中A&amp;<&\"");
    }

    #[test]
    fn refuses_and_says_where() {
        for (text, why) in [
            ("", "is empty"),
            ("  ", "is empty"),
            ("hello", "is not XML"),
            ("<html><body>", "is a web page"),
            ("<!DOCTYPE r [<!ENTITY a \"b\">]><r>&a;</r>", "DOCTYPE"),
            ("<r><!ENTITY a \"b\"></r>", "declaration"),
            ("<r>&a;</r>", "unknown entity"),
            ("<r>&#0;</r>", "unknown entity"),
            ("<r>&#xD800;</r>", "unknown entity"),
            ("<r>&#+65;</r>", "unknown entity"),
            ("<r>a & b</r>", "begins no entity"),
            ("<r>", "is cut off"),
            ("<r", "is cut off"),
            ("<r a", "without a value"),
            ("<r a=b/>", "without quotes"),
            ("<r></s>", "closes another"),
            ("<r/><s/>", "goes on"),
            ("<r/>x", "goes on"),
            ("<r>text<a/></r>", "beside elements"),
            ("< r/>", "no name"),
            ("<r><![CDATA[x</r>", "is cut off"),
        ] {
            let bad = parse(text.as_bytes()).unwrap_err();
            assert!(bad.why.contains(why), "{text}: {bad:?}");
        }
        assert_eq!(parse(b"<r>\xb2\xe2</r>").unwrap_err(), Bad { at: 3, why: "is not UTF-8; perhaps GBK" });
        assert_eq!(parse(b"<r><a></b></r>").unwrap_err().at, 9);
        let deep = "<a>".repeat(100_000);
        assert!(parse(deep.as_bytes()).unwrap_err().why.contains("too deeply"));
        let whole = "<r><a>1</a><b x=\"y\">&lt;</b></r>";
        for end in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}
