//! `fated replay`: repeats a run that was recorded.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::ValueEnum as _;
use fated_engine::inherit::{self, Kind};
use fated_kernel::config::Config;
use fated_kernel::journal::header::Header;

use crate::cli::{ReplayArgs, StdioName};
use crate::exit::End;
use crate::journal::{self, Journals};
use crate::run::{self, Show};
use crate::settings::Settings;

/// Repeats a run; the result is how fated ends.
pub fn replay(args: &ReplayArgs) -> anyhow::Result<End> {
    let mut journals = Journals::obey(&args.journal, args.until)?;
    let header = journals.header().context("there is a journal")?.clone();
    let mut launch = journal::launch_of(&header, &args.command);
    check_files(&header)?;
    launch.streams = journals.streams();
    launch.inherited = journals.inherited();
    launch.cpu = args.cpu;
    launch.cpus = header.config.cpus;
    launch.rewrite = !args.no_rewrite;
    launch.spin_limit = (args.spin_limit > 0).then(|| Duration::from_secs(args.spin_limit));
    if let Some(path) = &args.record {
        if path == &args.journal {
            bail!("failed to record to {}: the run obeys it", path.display());
        }
        journals = journals.record(path)?;
    }
    let stdio = StdioName::from_str(&header.stdio, false)
        .map_err(|_| anyhow!("failed to read the journal: the streams of a run can't look like {:?}", header.stdio))?;
    let seed = args.seed.unwrap_or(header.config.seed);
    let config = Config { seed, log: args.log.is_some(), ..header.config };
    let settings = Settings::of_replay(config, launch, args, stdio, Rc::new(journals));
    let show = Show { log: args.log.as_deref(), stats: args.stats, fresh: args.fresh.as_deref(), quiet: args.quiet };
    run::carry_out(&settings, &show)
}

/// Standard streams that are regular files are the real Linux's to read and write, so they have to be there again; all other input
/// comes from the journal.
fn check_files(header: &Header) -> anyhow::Result<()> {
    let now = journal::files(0..=2);
    let inherited = inherit::inheritance().files;
    for (fd, path, position) in &header.files {
        let is_there = now.iter().any(|(stream, ..)| stream == fd)
            || inherited.iter().any(|file| file.descriptor.fd == *fd && file.kind == Kind::Real);
        if !is_there {
            let path = String::from_utf8_lossy(path);
            bail!(
                "failed to repeat the run: its stream {fd} was the file {path} from byte {position} on; redirect it again"
            )
        }
    }
    Ok(())
}
