//! Which file of a crate names which other one, as far as paths tell: `use` items, and paths in code that begin with `crate`.
//! Methods are not seen. Code under `#[cfg(test)]` doesn't count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The imports between the files of one crate.
#[derive(Debug)]
pub struct Imports {
    /// By file, relative to the crate's `src`: the files that it names.
    pub files: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

impl Imports {
    /// Reads the sources below `source`, a folder of the repository with a `lib.rs` or `main.rs`.
    #[must_use]
    pub fn read(source: &Path) -> Imports {
        let paths: Vec<PathBuf> = crate::files("rs")
            .into_iter()
            .filter_map(|path| Some(path.strip_prefix(source).ok()?.to_owned()))
            .filter(|path| !path.starts_with("bin"))
            .collect();
        let modules: BTreeMap<Vec<String>, PathBuf> =
            paths.iter().map(|path| (module_of(path), path.clone())).collect();
        let files = paths.iter().map(|path| (path.clone(), named_by(source, path, &modules))).collect();
        Imports { files }
    }

    /// The circles: sets of files each of which leads to each other one. The largest first.
    #[must_use]
    pub fn circles(&self) -> Vec<BTreeSet<PathBuf>> {
        let reached: BTreeMap<&Path, BTreeSet<&Path>> =
            self.files.keys().map(|file| (file.as_path(), self.reached_from(file))).collect();
        let mut circles = BTreeSet::new();
        for (file, targets) in &reached {
            let both_ways = targets.iter().filter(|other| reached.get(**other).is_some_and(|it| it.contains(file)));
            let mut circle: BTreeSet<PathBuf> = both_ways.map(|other| other.to_path_buf()).collect();
            circle.insert(file.to_path_buf());
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        let mut circles: Vec<_> = circles.into_iter().collect();
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    fn reached_from<'a>(&'a self, file: &'a Path) -> BTreeSet<&'a Path> {
        let mut reached = BTreeSet::new();
        let mut next = vec![file];
        while let Some(file) = next.pop() {
            for target in self.files.get(file).into_iter().flatten() {
                if reached.insert(target.as_path()) {
                    next.push(target);
                }
            }
        }
        reached
    }
}

/// `a/b.rs` and `a/b/mod.rs` are the module `a::b`.
fn module_of(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod"))
        || parts.len() == 1 && ["lib", "main"].contains(&&*parts[0])
    {
        parts.pop();
    }
    parts
}

fn named_by(source: &Path, path: &Path, modules: &BTreeMap<Vec<String>, PathBuf>) -> BTreeSet<PathBuf> {
    let text = crate::text(&source.join(path));
    let file = match syn::parse_file(&text) {
        Ok(file) => file,
        Err(error) => panic!("{}: {error}", source.join(path).display()),
    };
    let mut finder = Finder { own: module_of(path), modules, named: BTreeSet::new() };
    finder.visit_file(&file);
    let files = finder.named.iter().filter_map(|named| {
        // The longest part of the path that is a file; what is left is an item in it.
        (1..=named.len()).rev().find_map(|len| modules.get(&named[..len]))
    });
    files.filter(|target| *target != path).cloned().collect()
}

/// Collects paths, from the crate's root on.
struct Finder<'a> {
    own: Vec<String>,
    modules: &'a BTreeMap<Vec<String>, PathBuf>,
    named: BTreeSet<Vec<String>>,
}

impl Finder<'_> {
    fn note(&mut self, path: &[String]) {
        let absolute = match path.first().map(String::as_str) {
            Some("crate") => path[1..].to_vec(),
            Some("self") => [&self.own, &path[1..]].concat(),
            Some("super") => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let Some(len) = self.own.len().checked_sub(up) else { return };
                [&self.own[..len], &path[up..]].concat()
            }
            // A module below this one, or something from another crate.
            Some(first) if self.modules.contains_key(&[&self.own[..], &[first.to_owned()]].concat()) => {
                [&self.own, path].concat()
            }
            _ => return,
        };
        self.named.insert(absolute);
    }

    fn note_tree(&mut self, tree: &syn::UseTree, mut path: Vec<String>) {
        match tree {
            syn::UseTree::Path(it) => {
                path.push(it.ident.to_string());
                self.note_tree(&it.tree, path);
            }
            syn::UseTree::Group(it) => it.items.iter().for_each(|tree| self.note_tree(tree, path.clone())),
            syn::UseTree::Name(syn::UseName { ident }) | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                if ident != "self" {
                    path.push(ident.to_string());
                }
                self.note(&path);
            }
            syn::UseTree::Glob(_) => self.note(&path),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg") && matches!(&it.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, it: &'ast syn::ItemMod) {
        if !is_test(&it.attrs) {
            visit::visit_item_mod(self, it);
        }
    }

    fn visit_item_use(&mut self, it: &'ast syn::ItemUse) {
        self.note_tree(&it.tree, Vec::new());
    }

    fn visit_path(&mut self, it: &'ast syn::Path) {
        let parts: Vec<String> = it.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.note(&parts);
        }
        visit::visit_path(self, it);
    }
}
