//! How far a host has been driven.

use fated_kernel::host::Ending;

/// How long a run waits for somebody outside of it before it looks again, in milliseconds.
pub const OUTSIDER_MS: i32 = 10;

/// Why an engine has returned from driving its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing more happens up to the horizon; see [`fated_kernel::host::Next::Idle`].
    Idle {
        /// The next moment at which something happens by itself.
        until: Option<u64>,
    },
    /// The run is over.
    Ended(Ending),
}
