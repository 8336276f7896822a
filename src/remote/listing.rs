//! Reads what an S3 store says that it has (Amazon S3 API reference, "ListObjectsV2").
//!
//! Only what is needed is looked for: stores leave out much of what Amazon's says.

use super::{Entry, Name, time};

/// A part of a list, and how to ask for the next.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) next: Option<String>,
}

/// None if it is no list. Keys that are no names, or not under the one asked for, are others' business.
pub(super) fn page(xml: &[u8], prefix: &str, under: &Name) -> Option<Page> {
    let (_, list) = std::str::from_utf8(xml).ok()?.split_once("<ListBucketResult")?;
    let mut contents = list.split("<Contents>");
    let entries = contents.by_ref().skip(1).filter_map(|content| {
        let key = unescape_percent(&element(content, "Key")?);
        let name = key.strip_prefix(prefix)?.parse::<Name>().ok()?;
        let size = element(content, "Size")?.parse().ok()?;
        let modified = element(content, "LastModified").and_then(|text| time::seconds(&text));
        name.is_under(under).then_some(Entry { name, size, modified })
    });
    Some(Page { entries: entries.collect(), next: element(list, "NextContinuationToken") })
}

/// The text of the first element of that name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let unescaped = ["&lt;<", "&gt;>", "&quot;\"", "&apos;'", "&#34;\"", "&#39;'", "&amp;&"];
    let text = unescaped.iter().fold(text.trim().to_owned(), |text, pair| {
        pair.rsplit_once(';')
            .map_or(text.clone(), |(from, to)| text.replace(&format!("{from};"), to))
    });
    Some(text)
}

/// Keys are asked for with `encoding-type=url`. All that can be escaped in one of ours is a slash.
fn unescape_percent(key: &str) -> String {
    key.replace("%2F", "/").replace("%2f", "/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(contents: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{contents}\
             <NextContinuationToken>a&amp;lt;b=</NextContinuationToken></ListBucketResult>"
        )
    }

    #[test]
    fn a_page_has_what_is_ours_and_says_how_to_go_on() {
        let content = |key: &str| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-26T12:00:00.000Z</LastModified>\
                 <Size>3</Size></Contents>"
            )
        };
        let keys =
            ["v/packs/a", "v%2Fpacks%2Fb", "v/packs/../b", "v/packs2/c", "packs/d", "v/packs/E"];
        let xml = list(&keys.map(content).join(""));
        let page = page(xml.as_bytes(), "v/", &"packs".parse().unwrap()).unwrap();
        let entry = |name: &str| Entry {
            name: name.parse().unwrap(),
            size: 3,
            modified: Some(1_795_694_400),
        };
        assert_eq!(page.entries, ["packs/a", "packs/b"].map(entry));
        assert_eq!(page.next.as_deref(), Some("a&lt;b="));
    }

    #[test]
    fn what_is_no_list_is_none() {
        let under: Name = "packs".parse().unwrap();
        for text in ["", "<html></html>", "<Error><Code>x</Code></Error>"] {
            assert!(page(text.as_bytes(), "", &under).is_none());
        }
        assert_eq!(page(list("").as_bytes(), "", &under).unwrap().entries, []);
    }

    proptest! {
        #[test]
        fn whatever_a_store_says_is_a_page_or_none(
            text in "(<ListBucketResult>)?(<Contents>(<Key>[a-z/.]{0,9}</Key>|<Size>[0-9]{0,30}</Size>|.{0,9}){0,4}){0,3}"
        ) {
            let under: Name = "a".parse().unwrap();
            if let Some(page) = page(text.as_bytes(), "", &under) {
                prop_assert!(page.entries.iter().all(|entry| entry.name.is_under(&under)));
            }
        }
    }
}
