//! Functions that all tests use.

use crate::passthrough::Passthrough;
use fated_engine::{Captured, Error, Launch, NO_CPUID_FAULTING, Observer};
use fated_kernel::host::Ending;
use fated_ptrace::{Engine, Stats};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;

/// A directory for one test. Dropping it removes it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("fated-ptrace-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A launch of a program with arguments and a small environment.
#[expect(clippy::disallowed_methods, reason = "asks how the tests are to be run")]
pub fn launch(words: &[&str]) -> Launch {
    Launch {
        cpuid_faulting: std::env::var_os(NO_CPUID_FAULTING).is_none_or(|it| it != "1"),
        args: words[1..].iter().map(Into::into).collect(),
        env: [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C")].map(|(n, v)| (n.into(), v.into())).into(),
        ..Launch::new(words[0])
    }
}

/// Runs it to its end, with an empty standard input.
pub fn run(launch: &Launch) -> Result<(Ending, Stats), Error> {
    let console = Rc::new(Captured::new(Vec::new(), false));
    let mut engine = Engine::launch(launch, Passthrough::default(), console, Rc::new(Observer::default()))?;
    let ending = engine.run()?;
    Ok((ending, engine.stats()))
}
