//! XML of cameras. No DTD is read, so no entity can grow; depth and count of elements are bounded
//! before the document is built. Names are matched without their namespace: vendors have two.

use super::{BadPush, text};
use roxmltree::{Document, ParsingOptions};

/// Elements of one document.
const NODES_MAX: u32 = 4096;
/// Elements inside one another.
const DEPTH_MAX: usize = 64;

/// The text of a document in whatever encoding it declares.
///
/// # Errors
/// [`BadPush::Encoding`].
pub fn decode<'b>(bytes: &'b [u8], media: &str) -> Result<std::borrow::Cow<'b, str>, BadPush> {
    let head = String::from_utf8_lossy(bytes.get(..bytes.len().min(120)).unwrap_or_default());
    let declared = head.split_once("encoding=").and_then(|(_, rest)| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(quote).next().map(str::to_owned)
    });
    text::decode(bytes, declared.as_deref().or_else(|| text::charset(media)))
}

/// How deep a text nests, without building anything; stops at the bound.
fn too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        if after.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !after.starts_with(['!', '?']) {
            let own = after.split_once('>').is_some_and(|(tag, _)| tag.ends_with('/'));
            depth += usize::from(!own);
        }
        if depth > DEPTH_MAX {
            return true;
        }
        rest = after;
    }
    false
}

/// The values of one document by local name.
pub struct Tree<'t>(Document<'t>);

impl<'t> Tree<'t> {
    /// Parses a document.
    ///
    /// # Errors
    /// [`BadPush`].
    pub fn parse(text: &'t str) -> Result<Self, BadPush> {
        if too_deep(text) {
            return Err(BadPush::Bounds("the XML nests too deep"));
        }
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options)
            .map_err(|fault| BadPush::malformed(format!("the XML: {fault}")))?;
        Ok(Self(document))
    }

    /// The root's local name.
    #[must_use]
    pub fn root(&self) -> &str {
        self.0.root_element().tag_name().name()
    }

    /// Text of the first element of this name anywhere.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.descendants().find(|node| node.tag_name().name() == name);
        found.and_then(|node| node.text()).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Text of the first element of this name that has one; for answers where a wrapper carries its
    /// value's name.
    #[must_use]
    pub fn leaf(&self, name: &str) -> Option<&str> {
        let mut all = self.0.descendants().filter(|node| node.tag_name().name() == name);
        all.find_map(|node| node.text().map(str::trim).filter(|text| !text.is_empty()))
    }
}
