//! What is left out of XML before it is parsed.

use super::*;

/// Gives its bytes a few at a time, so that every character is cut somewhere.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(self.0.len()).min(out.len());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

fn sanitised(bytes: &[u8], step: usize) -> String {
    let mut text = String::new();
    Sanitised::new(Dribble(bytes, step))
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn control_characters_go_and_text_stays_wherever_a_block_ends() {
    let raw = "a\u{b}b\tc\r\n\u{0}é\u{1f}😀\u{7f}ü\u{1}".as_bytes();
    for step in 1..=raw.len() {
        assert_eq!(sanitised(raw, step), "ab\tc\r\né😀\u{7f}ü", "{step}");
    }
}

#[test]
fn bytes_that_are_no_utf8_become_question_marks_wherever_a_block_ends() {
    let raw = b"a\xffb\xe2\x82c\xf0\x9f\x98\x80d\xe2\x82";
    for step in 1..=raw.len() {
        assert_eq!(sanitised(raw, step), "a?b?c😀d?", "{step}");
    }
}

#[test]
fn a_block_of_nothing_but_forbidden_bytes_is_not_the_end() {
    let raw = [vec![1_u8; BLOCK_BYTES * 2], b"end".to_vec()].concat();
    assert_eq!(sanitised(&raw, usize::MAX), "end");
}

#[test]
fn a_parser_gets_only_what_it_was_allowed() {
    let mut reader = Sanitised::new(&[b'x'; 100][..]);
    reader.allow(60);
    let mut out = Vec::new();
    let error = reader.read_to_end(&mut out).unwrap_err();
    assert_eq!(out.len(), 60);
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&TooLong(60)));
    reader.allow(60);
    reader.read_to_end(&mut out).unwrap();
    assert_eq!(out.len(), 100);
}

#[test]
fn a_failing_reader_is_reported_and_may_be_read_again() {
    struct Failing(u32);
    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 => Err(io::Error::other("disk")),
                3 => {
                    out[0] = b'x';
                    Ok(1)
                }
                _ => Ok(0),
            }
        }
    }
    let mut reader = Sanitised::new(Failing(0));
    assert!(reader.fill_buf().is_err());
    assert_eq!(reader.fill_buf().unwrap(), b"x");
}

#[test]
fn a_tag_is_found_wherever_a_block_ends() {
    let raw = b"<?xml?><!DOCTYPE Root [<!ELEMENT Root (A)><<Roo <Rooted/>]><Root a='1'>";
    for step in 1..=raw.len() {
        let mut reader = Sanitised::new(Dribble(raw, step));
        assert!(skip_to(&mut reader, b"<Root", 1000).unwrap());
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, " a='1'>", "{step}");
    }
}

#[test]
fn a_tag_that_is_not_there_is_given_up_in_time() {
    assert!(!skip_to(&mut Sanitised::new(&b"<Rooted/>"[..]), b"<Root", 1000).unwrap());
    let endless = io::repeat(b' ');
    assert!(!skip_to(&mut Sanitised::new(endless), b"<Root", 1 << 20).unwrap());
}

#[test]
fn references_are_resolved_but_never_entities_of_a_document_type() {
    let unescaped = |raw: &str| {
        let mut out = String::new();
        unescape(raw, &mut out);
        out
    };
    assert_eq!(
        unescaped("Simon&apos;s &lt;b&gt; &amp;amp; &quot;x&quot;"),
        "Simon's <b> &amp; \"x\""
    );
    assert_eq!(unescaped("&#65;&#x42;&#X1F600;"), "AB😀");
    assert_eq!(unescaped("a&#0;b&#11;c&#xD800;d&#x110000;e&#;f"), "abcdef");
    assert_eq!(unescaped("&xxe; &unfinished & ;"), "&xxe; &unfinished & ;");
    assert_eq!(unescaped("a\nb\r\nc\td&#10;e"), "a b c d\ne");
}
