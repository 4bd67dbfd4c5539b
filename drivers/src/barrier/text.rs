//! Text of cameras: UTF-8, or GB18030 (with GB2312 and GBK in it) from older firmware, declared or not.

use super::BadPush;
use std::borrow::Cow;

const PROVINCES: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼";

/// Whether a character begins the plates of a province.
#[must_use]
pub fn is_province(c: char) -> bool {
    PROVINCES.contains(c)
}

/// Decodes a body. A declared Chinese encoding is believed; else UTF-8 is tried first.
///
/// # Errors
/// [`BadPush::Encoding`].
pub fn decode<'b>(bytes: &'b [u8], declared: Option<&str>) -> Result<Cow<'b, str>, BadPush> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let chinese = declared.is_some_and(|name| {
        let name = name.trim().trim_matches('"').to_ascii_lowercase();
        matches!(name.as_str(), "gb2312" | "gbk" | "gb18030" | "x-gbk" | "cp936")
    });
    if !chinese && let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Cow::Borrowed(text));
    }
    let decoded = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes);
    match decoded {
        Some(text) => Ok(text),
        // Declared wrongly: firmware that was translated, but not its headers.
        None => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| BadPush::Encoding),
    }
}

/// The `charset` of a media type.
#[must_use]
pub fn charset(media: &str) -> Option<&str> {
    parameter(media, "charset")
}

/// A parameter of a media type or disposition: `boundary`, `name`.
#[must_use]
pub fn parameter<'m>(media: &'m str, name: &str) -> Option<&'m str> {
    media.split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then_some(bare)
    })
}

/// The GB2312 bytes of 鲁 and 豫 are UTF-8 by chance (`³`, `ԥ`): a plate that begins so in an
/// otherwise ASCII body was GB2312.
#[must_use]
pub fn ungarbled(text: &str) -> Cow<'_, str> {
    let Some(first) = text.trim_start().chars().next() else { return Cow::Borrowed(text) };
    if !('\u{80}'..='\u{7ff}').contains(&first) || first == '·' {
        return Cow::Borrowed(text);
    }
    let chinese = encoding_rs::GB18030
        .decode_without_bom_handling_and_without_replacement(text.trim_start().as_bytes());
    match chinese {
        Some(chinese) if chinese.chars().next().is_some_and(is_province) => {
            Cow::Owned(chinese.into_owned())
        }
        Some(_) | None => Cow::Borrowed(text),
    }
}

/// A text in GBK for displays and voices; what GBK does not have becomes `?`.
#[must_use]
pub fn to_gbk(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut one = [0; 4];
    for c in text.chars() {
        let (bytes, _, unmappable) = encoding_rs::GBK.encode(c.encode_utf8(&mut one));
        if unmappable {
            out.push(b'?');
        } else {
            out.extend_from_slice(&bytes);
        }
    }
    out
}
