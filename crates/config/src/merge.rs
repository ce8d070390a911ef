//! Merges all layers.

use std::path::{Path, PathBuf};

use config::Value;

use crate::arguments;
use crate::dotenv;
use crate::error::ConfigError;
use crate::files;
use crate::merged::Merged;
use crate::names::{OURS, PREFIX, setting_of};
use crate::problems::Problem;
use crate::reference::Reference;
use crate::remote::RemoteLayer;
use crate::sources::Sources;
use crate::tree;
use crate::variables::{Text, Variables};

/// The setting that selects the environment and its layer of files.
const ENVIRONMENT: &str = "service.environment";
/// The default environment.
const DEVELOPMENT: &str = "development";

impl Sources {
    /// Reads all sources into one tree whose values remember their origin.
    ///
    /// # Errors
    /// A file can't be read or parsed. Invalid settings are reported later, by [`Merged::read`].
    pub fn merge(&self, reference: &Reference, remote: &RemoteLayer) -> Result<Merged, ConfigError> {
        Merger::new(self, reference).merge(remote)
    }
}

/// Merges one layer after the other.
struct Merger<'a> {
    sources: &'a Sources,
    reference: &'a Reference,
    merged: Merged,
}

impl<'a> Merger<'a> {
    fn new(sources: &'a Sources, reference: &'a Reference) -> Self {
        let problems = sources.problems.clone();
        Self { sources, reference, merged: Merged { problems, ..Merged::empty() } }
    }

    fn merge(mut self, remote: &RemoteLayer) -> Result<Merged, ConfigError> {
        let (dotenv, place) = self.dotenv()?;
        let paths = self.sources.paths(&dotenv);
        let problems = &mut self.merged.problems;
        let own = self.sources.own_prefix.as_deref();
        let weaker = Variables::pick(&dotenv, own, &place, self.reference, problems);
        let stronger = Variables::pick(&self.sources.environment, own, "", self.reference, problems);
        let flags = arguments::flags(&self.sources.arguments, self.reference, problems);

        let mut own = tree::empty();
        for path in &paths.files {
            self.file(path, &mut own)?;
        }
        if let Some(directory) = &paths.directory {
            let flag = flags.iter().find(|flag| flag.setting == ENVIRONMENT).map(|flag| flag.value.as_str());
            let variable = |of: &'_ Variables| of.values.get(ENVIRONMENT).map(|set| set.text.clone());
            let named = flag.map(str::to_owned).or_else(|| variable(&stronger)).or_else(|| variable(&weaker));
            let named = named.or_else(|| tree::find(&own, ENVIRONMENT).map(tree::written));
            self.directory(directory, named)?;
        }
        merge_with_origins(&mut self.merged.tree, &own);
        for (name, text) in remote.values().iter().filter(|(_, text)| !text.is_empty()) {
            self.put(name, &Text { origin: remote.origin().to_owned(), text: text.clone() });
        }
        self.variables(&weaker, true);
        self.variables(&stronger, false);
        if let Some(directory) = &paths.secrets {
            self.mounted(directory)?;
        }
        stronger.files.iter().for_each(|(name, file)| self.secret(name, file));
        for flag in flags {
            self.put(&flag.setting, &Text { origin: flag.origin, text: flag.value });
        }
        Ok(self.merged)
    }

    /// The variables of the env file, and the suffix that names the file in their origin.
    fn dotenv(&mut self) -> Result<(Vec<(String, String)>, String), ConfigError> {
        let Some((path, required)) = self.sources.dotenv() else { return Ok((Vec::new(), String::new())) };
        self.merged.watched.push(path.clone());
        Ok((dotenv::read(&path, required)?, format!(" in {}", path.display())))
    }

    fn file(&mut self, path: &Path, over: &mut Value) -> Result<(), ConfigError> {
        self.merged.watched.push(path.to_owned());
        tree::merge(over, files::read(path)?, &path.display().to_string());
        Ok(())
    }

    /// Merges the layers of a directory: `base`, the environment's, the service's.
    fn directory(&mut self, directory: &Path, environment: Option<String>) -> Result<(), ConfigError> {
        if !directory.is_dir() {
            let message = "is not a directory".to_owned();
            return Err(ConfigError::File { path: directory.to_owned(), message });
        }
        self.merged.watched.push(directory.to_owned());
        let mut tree = tree::empty();
        for path in files::layer(directory, "base") {
            self.file(&path, &mut tree)?;
        }
        let based = tree::find(&tree, ENVIRONMENT).map(tree::written);
        let environment = environment.or(based).unwrap_or_else(|| DEVELOPMENT.to_owned());
        // A value with a path in it must not read other files; the setting's type refuses it later.
        let environment = environment.trim().to_ascii_lowercase();
        let plain = environment.bytes().all(|byte| byte.is_ascii_alphanumeric());
        for stem in [plain.then_some(environment), self.sources.service.clone()].into_iter().flatten() {
            for path in files::layer(directory, &stem) {
                self.file(&path, &mut tree)?;
            }
        }
        merge_with_origins(&mut self.merged.tree, &tree);
        self.refuse_unused_files(directory);
        Ok(())
    }

    /// Refuses misspelt layers, which would otherwise be ignored silently.
    fn refuse_unused_files(&mut self, directory: &Path) {
        let environments = self.reference.find(ENVIRONMENT).into_iter().flat_map(|setting| setting.kind.choices());
        let mut layers: Vec<&str> = environments.copied().collect();
        layers.push("base");
        layers.extend(self.sources.service.as_deref());
        for (path, message) in files::unused_files(directory, &layers) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.merged.problems.push(Problem::new(&name, message).at(&directory.display().to_string()));
        }
    }

    fn variables(&mut self, variables: &Variables, with_files: bool) {
        variables.values.iter().for_each(|(name, set)| self.put(name, set));
        if with_files {
            variables.files.iter().for_each(|(name, file)| self.secret(name, file));
        }
    }

    /// Reads a directory with one file per setting.
    fn mounted(&mut self, directory: &Path) -> Result<(), ConfigError> {
        self.merged.watched.push(directory.to_owned());
        let own = self.sources.own_prefix.as_deref();
        let mut mounted = files::mounted(directory)?;
        // The service's own files come last, and take precedence.
        mounted.sort_by_key(|(name, _)| own.is_some_and(|own| name.to_ascii_uppercase().starts_with(own)));
        for (name, path) in mounted {
            let file = Text { origin: path.display().to_string(), text: path.display().to_string() };
            let long = name.to_ascii_uppercase();
            let bare = match own {
                Some(own) if long.starts_with(own) => &long[own.len()..],
                // Another service's.
                Some(_) if long.starts_with(OURS) && !long.starts_with(PREFIX) => continue,
                _ => long.strip_prefix(PREFIX).unwrap_or(&name),
            };
            match setting_of(bare) {
                Some(setting) => self.secret(&setting, &file),
                None => {
                    let problem = Problem::new(&name, "no setting can have this name").at(&file.origin);
                    self.merged.problems.push(problem);
                }
            }
        }
        Ok(())
    }

    /// Reads the value of a setting from a file.
    fn secret(&mut self, name: &str, file: &Text) {
        let path = PathBuf::from(&file.text);
        match files::secret(&path) {
            Ok(text) => {
                self.put(name, &Text { origin: file.origin.clone(), text });
                self.merged.masked.insert(name.to_owned());
            }
            Err(reason) => {
                let problem = Problem::new(name, format!("its file {reason}")).at(&file.origin);
                self.merged.problems.push(problem);
            }
        }
        self.merged.watched.push(path);
    }

    fn put(&mut self, name: &str, set: &Text) {
        // The new value overrides the earlier one, and with it the earlier one's mask.
        self.merged.masked.remove(name);
        if !tree::put(&mut self.merged.tree, name, Some(tree::text(&set.origin, set.text.as_str()))) {
            self.merged.problems.push(Problem::new(name, "unknown setting").at(&set.origin));
        }
    }
}

/// Merges `over` into `under`, keeping the origins of its values.
fn merge_with_origins(under: &mut Value, over: &Value) {
    for name in tree::leaves(over) {
        // `put` can't fail: only files have been merged so far, so no part of the name is a value from a variable.
        if let Some(value) = tree::find(over, &name) {
            tree::put(under, &name, Some(value.clone()));
        }
    }
}
