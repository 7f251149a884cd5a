//! Answers as the vendor's PHP writes them: JSON in ASCII, XML as PEAR has it.

use std::fmt::Write as _;

use serde_json::Value;

/// JSON as `json_encode` writes it: nothing but ASCII, and every slash escaped.
pub fn php_json(value: &Value) -> String {
    let mut out = String::new();
    // Outside of texts JSON has neither slashes nor anything beyond ASCII.
    for c in value.to_string().chars() {
        match c {
            '/' => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

/// XML with the root `apiResponse`, two blanks a level and no line end at the end.
pub fn pear_xml(value: &Value) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    element("apiResponse", value, 0, &mut out);
    out
}

fn element(name: &str, value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let children: Vec<(&str, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.as_str(), v)).collect(),
        Value::Array(items) => items.iter().map(|v| ("item", v)).collect(),
        _ => Vec::new(),
    };
    let text = match value {
        Value::String(text) => escape(text),
        Value::Number(number) => number.to_string(),
        // PHP's true is 1 in a text, its false nothing.
        Value::Bool(true) => "1".into(),
        _ => String::new(),
    };
    if children.is_empty() && text.is_empty() {
        let _ = write!(out, "{indent}<{name} />");
    } else if children.is_empty() {
        let _ = write!(out, "{indent}<{name}>{text}</{name}>");
    } else {
        let _ = writeln!(out, "{indent}<{name}>");
        for (key, child) in children {
            element(key, child, depth + 1, out);
            out.push('\n');
        }
        let _ = write!(out, "{indent}</{name}>");
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_ascii() {
        let value = json!({"name": "致云/☕😀", "quote": "\""});
        assert_eq!(php_json(&value), r#"{"name":"\u81f4\u4e91\/\u2615\ud83d\ude00","quote":"\""}"#);
        assert_eq!(serde_json::from_str::<Value>(&php_json(&value)).ok(), Some(value));
    }

    #[test]
    fn xml_of_the_notes() {
        let code = "c3a8ad070c745db455e30a51511dca819b607bf7";
        let want = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apiResponse>\n  <data>\n    \
             <auth_code>{code}</auth_code>\n  </data>\n  <code>200</code>\n  <message>ok</message>\n</apiResponse>"
        );
        assert_eq!(pear_xml(&json!({"data": {"auth_code": code}, "code": 200, "message": "ok"})), want);
        let odd = pear_xml(&json!({"a": null, "b": ["x<y", ""]}));
        assert!(odd.contains("  <a />\n"));
        assert!(odd.contains("    <item>x&lt;y</item>\n    <item />\n"));
    }
}
