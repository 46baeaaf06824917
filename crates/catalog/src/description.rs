//! The text of a seller's HTML.
//!
//! Not here: the HTML itself, which stays in the stored page.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::html_content::TextType;
use lol_html::{HtmlRewriter, MemorySettings, Settings, doc_text, element, end_tag};

use crate::text::{decode, tidy};

/// The longest description that is kept, in characters. The longest ever seen had 29,950.
pub const DESCRIPTION_MAX_CHARS: usize = 100_000;

/// What is read of a piece of HTML, in bytes.
const HTML_MAX_BYTES: usize = 1 << 20;

/// The memory that reading a piece of HTML may take, in bytes.
const READER_MAX_BYTES: usize = 16 << 20;

/// How the paragraph begins that the site adds to every description.
const BOILERPLATE: &str = "Giá sản phẩm trên Tiki đã bao gồm thuế";

/// The text of an HTML description: one line per block, entities decoded, each line clean, no empty
/// lines, without scripts, styles and frames and without the site's paragraph about taxes; at most
/// [`DESCRIPTION_MAX_CHARS`] characters.
pub fn description_text(html: &str) -> String {
    let text = html_text(html);
    let mut out = String::new();
    let mut left = DESCRIPTION_MAX_CHARS;
    for line in text.split('\n') {
        let line = tidy(line, left);
        if line.is_empty() || line.starts_with(BOILERPLATE) {
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        left = left.saturating_sub(line.chars().count() + 1);
        out.push_str(&line);
        if left == 0 {
            break;
        }
    }
    out
}

/// The text of a value that may hold HTML, on one line and clean, at most `max_chars` characters.
pub(crate) fn inline_text(value: &str, max_chars: usize) -> String {
    if value.contains('<') {
        tidy(&html_text(value), max_chars)
    } else {
        tidy(&decode(value), max_chars)
    }
}

/// The text of HTML: a line break where a block begins or ends and nowhere else, entities decoded.
fn html_text(html: &str) -> String {
    let html = html
        .get(..html.floor_char_boundary(HTML_MAX_BYTES))
        .unwrap_or(html);
    let out = Rc::new(RefCell::new(String::with_capacity(html.len())));
    let (of_text, of_tags) = (Rc::clone(&out), Rc::clone(&out));
    let settings = Settings::new()
        .append_document_content_handler(doc_text!(|chunk| {
            let kept = matches!(
                chunk.text_type(),
                TextType::Data | TextType::PlainText | TextType::CDataSection
            );
            if kept {
                let flat = chunk.as_str().replace(['\n', '\r'], " ");
                of_text.borrow_mut().push_str(&flat);
            }
            Ok(())
        }))
        .append_element_content_handler(element!("*", |tag| {
            let Some(mark) = mark(&tag.tag_name()) else {
                return Ok(());
            };
            of_tags.borrow_mut().push(mark);
            let of_end = Rc::clone(&of_tags);
            if let Some(handlers) = tag.end_tag_handlers() {
                handlers.push(end_tag!(move |_| {
                    of_end.borrow_mut().push(mark);
                    Ok(())
                }));
            }
            Ok(())
        }))
        .with_strict(false)
        .with_memory_settings(
            MemorySettings::new().with_max_allowed_memory_usage(READER_MAX_BYTES),
        );
    let mut reader = HtmlRewriter::new(settings, |_: &[u8]| {});
    // HTML that takes too much memory is read as far as it goes.
    if reader.write(html.as_bytes()).is_ok() {
        reader.end().ok();
    }
    let text = out.take();
    decode(&text).into_owned()
}

/// What stands for a tag in the text: a line break for a block, a space for a cell.
fn mark(tag: &str) -> Option<char> {
    match tag {
        "p" | "div" | "br" | "hr" | "li" | "ul" | "ol" | "dl" | "dt" | "dd" | "h1" | "h2"
        | "h3" | "h4" | "h5" | "h6" | "table" | "caption" | "thead" | "tbody" | "tfoot" | "tr"
        | "section" | "article" | "header" | "footer" | "main" | "aside" | "nav" | "address"
        | "blockquote" | "pre" | "figure" | "figcaption" | "form" | "fieldset" | "details"
        | "summary" | "center" | "body" => Some('\n'),
        "td" | "th" | "img" | "iframe" | "video" | "script" | "style" => Some(' '),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_lines() {
        for (html, expected) in [
            (
                "<p>Một <b>hai</b></p>\n<p>ba<br/>bốn</p>",
                "Một hai\nba\nbốn",
            ),
            ("<ul><li>a</li><li>b &amp; c</li></ul>d", "a\nb & c\nd"),
            (
                "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
                "a b\nc",
            ),
            (
                "a<script>alert('<p>x</p>')</script>b<style>p{}</style><iframe>y</iframe>",
                "a b",
            ),
            (
                "<html><head><title>t</title></head><body>x</body></html>",
                "x",
            ),
            ("1 < 2 &lt;b&gt; &amp;amp;", "1 < 2 <b> &amp;"),
            ("a<!-- <p>c</p> -->b", "ab"),
            ("line\nbreaks\r\nare\tspaces", "line breaks are spaces"),
            (
                "x<p>Giá sản phẩm trên Tiki đã bao gồm thuế theo luật hiện hành. Tuy nhiên, ...</p>",
                "x",
            ),
            (
                "<p>Gi\u{61}\u{301} sản phẩm trên Tiki đã bao gồm thuế.</p>",
                "Giá sản phẩm trên Tiki đã bao gồm thuế."
                    .strip_prefix("Giá sản phẩm trên Tiki đã bao gồm thuế.")
                    .unwrap(),
            ),
            ("</p></div>x", "x"),
            ("<p", ""),
            ("<script>never closed", ""),
            ("", ""),
        ] {
            assert_eq!(description_text(html), expected, "{html:?}");
        }
    }

    #[test]
    fn deep_and_long_html_ends() {
        assert_eq!(description_text(&"<div>".repeat(100_000)), "");
        let long = "<p>ậậậậ</p>".repeat(50_000);
        let text = description_text(&long);
        assert!(text.chars().count() <= DESCRIPTION_MAX_CHARS);
        assert!(text.chars().count() > DESCRIPTION_MAX_CHARS - 10);
    }

    #[test]
    fn a_value_is_one_line() {
        assert_eq!(inline_text("<ul><li>a</li>\n<li>b</li></ul>", 100), "a b");
        assert_eq!(inline_text("Bang &amp; Olufsen", 100), "Bang & Olufsen");
    }
}
