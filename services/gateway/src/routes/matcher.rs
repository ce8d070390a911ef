//! Finds the binding of an HTTP method and a path: a tree over segments, literals before wildcards.

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;
use percent_encoding::percent_decode_str;

use super::template::{Segment, Template};

/// Longer paths match nothing.
const MAX_SEGMENTS: usize = 16;

/// A path split into decoded segments and its custom verb.
#[derive(Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// Decoded segments.
    pub segments: Vec<Cow<'a, str>>,
    /// What follows the last colon of the last segment.
    pub verb: Option<&'a str>,
}

/// A path contains an escape that isn't UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub struct NotUtf8;

impl<'a> Path<'a> {
    /// Splits and decodes a path; an escaped colon (`%3A`) doesn't start a verb.
    ///
    /// # Errors
    /// An escape decodes to bytes that aren't UTF-8.
    pub fn parse(path: &'a str) -> Result<Self, NotUtf8> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let tail = path.rfind('/').map_or(0, |at| at + 1);
        let (path, verb) = match path[tail..].rfind(':') {
            Some(colon) => (&path[..tail + colon], Some(&path[tail + colon + 1..])),
            None => (path, None),
        };
        let segments = path
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8().map_err(|_| NotUtf8))
            .collect::<Result<_, _>>()?;
        Ok(Self { segments, verb })
    }
}

/// What a path matches.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The binding with this index.
    Binding(usize),
    /// The path exists, but only for these HTTP methods.
    OtherMethods(Vec<Method>),
    /// No such path.
    Nothing,
}

/// The tree.
#[derive(Debug, Default)]
pub struct Matcher {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    any: Option<Box<Node>>,
    ends: Vec<End>,
}

/// The bindings of paths that end here, by verb and HTTP method.
#[derive(Debug)]
struct End {
    verb: Option<String>,
    method: Method,
    binding: usize,
}

impl Matcher {
    /// Adds a template for a method; `false` if there already is a binding.
    #[must_use]
    pub fn insert(&mut self, method: &Method, template: &Template, binding: usize) -> bool {
        let mut node = &mut self.root;
        for segment in &template.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Any => node.any.get_or_insert_default(),
            };
        }
        if node.ends.iter().any(|end| end.verb == template.verb && end.method == method) {
            return false;
        }
        node.ends.push(End { verb: template.verb.clone(), method: method.clone(), binding });
        true
    }

    /// Finds the binding; `HEAD` is answered by `GET`.
    pub fn find(&self, method: &Method, path: &Path<'_>) -> Found {
        if path.segments.len() > MAX_SEGMENTS {
            return Found::Nothing;
        }
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let mut others = Vec::new();
        match self.root.find(wanted, &path.segments, path.verb, &mut others) {
            Some(binding) => Found::Binding(binding),
            None if others.is_empty() => Found::Nothing,
            None => Found::OtherMethods(others),
        }
    }
}

impl Node {
    fn find(
        &self,
        method: &Method,
        rest: &[Cow<'_, str>],
        verb: Option<&str>,
        others: &mut Vec<Method>,
    ) -> Option<usize> {
        let Some((first, rest)) = rest.split_first() else {
            let ends = || self.ends.iter().filter(|end| end.verb.as_deref() == verb);
            let found = ends().find(|end| end.method == method);
            if found.is_none() {
                others.extend(ends().map(|end| end.method.clone()));
            }
            return found.map(|end| end.binding);
        };
        let literal = self.literals.get(first.as_ref()).and_then(|node| node.find(method, rest, verb, others));
        if literal.is_some() || first.is_empty() {
            return literal;
        }
        self.any.as_ref().and_then(|node| node.find(method, rest, verb, others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &[(&str, &str)] = &[
        ("GET", "/v1/products"),
        ("POST", "/v1/products"),
        ("GET", "/v1/products:batchGet"),
        ("GET", "/v1/{name=products/*}"),
        ("DELETE", "/v1/{name=products/*}"),
        ("GET", "/v1/{name=products/*/stock}"),
        ("POST", "/v1/{product=products/*}:adjustStock"),
        ("GET", "/.well-known/jwks.json"),
    ];

    fn find(method: &str, path: &str) -> Found {
        let mut matcher = Matcher::default();
        for (index, (method, template)) in ROUTES.iter().enumerate() {
            let template = Template::parse(template).unwrap();
            assert!(matcher.insert(&method.parse().unwrap(), &template, index));
        }
        matcher.find(&method.parse().unwrap(), &Path::parse(path).unwrap())
    }

    #[test]
    fn every_route_finds_its_binding() {
        for (method, path, index) in [
            ("GET", "/v1/products", 0),
            ("HEAD", "/v1/products", 0),
            ("POST", "/v1/products", 1),
            ("GET", "/v1/products:batchGet", 2),
            ("GET", "/v1/products/tea", 3),
            ("GET", "/v1/products/t%C3%A9", 3),
            ("DELETE", "/v1/products/tea", 4),
            ("GET", "/v1/products/tea/stock", 5),
            ("POST", "/v1/products/tea:adjustStock", 6),
            ("GET", "/.well-known/jwks.json", 7),
        ] {
            assert_eq!(find(method, path), Found::Binding(index), "{method} {path}");
        }
    }

    #[test]
    fn unknown_paths_find_nothing_and_other_methods_are_listed() {
        for path in ["/", "/v1", "/v1/", "/v1/products/", "/v1/products/a/b", "/v2/products", "/v1/products:nope"] {
            assert_eq!(find("GET", path), Found::Nothing, "{path}");
        }
        assert_eq!(find("GET", &"/a".repeat(40)), Found::Nothing);
        assert_eq!(find("PUT", "/v1/products/tea"), Found::OtherMethods(vec![Method::GET, Method::DELETE]));
        assert_eq!(find("GET", "/v1/products/tea:adjustStock"), Found::OtherMethods(vec![Method::POST]));
    }

    #[test]
    fn an_escaped_colon_starts_no_verb_and_invalid_escapes_are_refused() {
        let path = Path::parse("/v1/products/a%3Ab").unwrap();
        assert_eq!((path.segments[2].as_ref(), path.verb), ("a:b", None));
        assert_eq!(Path::parse("/v1/%ff"), Err(NotUtf8));
    }

    #[test]
    fn a_path_can_be_bound_once() {
        let mut matcher = Matcher::default();
        let template = Template::parse("/v1/x").unwrap();
        assert!(matcher.insert(&Method::GET, &template, 0));
        assert!(!matcher.insert(&Method::GET, &template, 1));
    }
}
