//! The files of a container: a directory of this machine that looks like the root of a file system.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Name of the variable that holds the container's root directory on this machine.
pub(in crate::runtime) const ROOT_VARIABLE: &str = "MESH_POD_ROOT";

/// Where a container's paths lead. No path leads out: `..` ends at the root, and no command makes symbolic links.
#[derive(Debug, Clone)]
pub(in crate::runtime) struct Files {
    root: PathBuf,
    /// The working directory, as the container sees it; begins with a slash.
    working: String,
}

impl Files {
    /// The files below `root`, with `working` as the working directory.
    pub(in crate::runtime) fn new(root: impl Into<PathBuf>, working: &str) -> Self {
        let mut files = Self { root: root.into(), working: "/".to_owned() };
        files.working = files.inside(working);
        files
    }

    /// Those that this process was given.
    pub(in crate::runtime) fn of_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        let root = variable(ROOT_VARIABLE).map_or_else(|| PathBuf::from("/nonexistent"), PathBuf::from);
        Self::new(root, variable("PWD").as_deref().unwrap_or("/"))
    }

    /// The working directory, as the container sees it.
    pub(super) fn working(&self) -> &str {
        &self.working
    }

    /// The path from the container's root, without `.` and `..`.
    pub(super) fn inside(&self, path: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        let joined = Path::new(&self.working).join(path);
        for component in joined.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
                Component::ParentDir => {
                    parts.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        format!("/{}", parts.join("/"))
    }

    /// The path on this machine.
    pub(in crate::runtime) fn outside(&self, path: &str) -> PathBuf {
        self.root.join(self.inside(path).trim_start_matches('/'))
    }

    /// Changes the working directory.
    pub(super) fn enter(&mut self, path: &str) -> io::Result<()> {
        let inside = self.inside(path);
        let directory = std::fs::metadata(self.outside(path))?;
        if !directory.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        self.working = inside;
        Ok(())
    }

    /// Where output that is thrown away goes.
    pub(super) fn is_null(&self, path: &str) -> bool {
        self.inside(path) == "/dev/null"
    }

    /// Opens a file for reading; `/dev/null` and `/dev/stdin` are what they are everywhere.
    pub(super) fn open(&self, path: &str) -> io::Result<std::fs::File> {
        match self.inside(path).as_str() {
            own @ ("/dev/null" | "/dev/stdin" | "/dev/zero" | "/dev/urandom") => std::fs::File::open(own),
            _ => std::fs::File::open(self.outside(path)),
        }
    }

    /// Opens a file for writing, emptied unless `append`.
    pub(super) fn create(&self, path: &str, append: bool) -> io::Result<std::fs::File> {
        let mut options = std::fs::OpenOptions::new();
        match self.inside(path).as_str() {
            own @ ("/dev/null" | "/dev/stdout" | "/dev/stderr") => options.write(true).open(own),
            _ => options.create(true).write(true).append(append).truncate(!append).open(self.outside(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_container() {
        let files = Files::new("/data/pods/u1", "/home");
        for (path, inside) in [
            ("/etc/passwd", "/etc/passwd"),
            ("../../../etc/passwd", "/etc/passwd"),
            ("/../../x", "/x"),
            ("./a//b/.", "/home/a/b"),
            ("", "/home"),
        ] {
            assert_eq!(files.inside(path), inside);
            assert_eq!(files.outside(path), Path::new("/data/pods/u1").join(inside.trim_start_matches('/')));
        }
    }
}
