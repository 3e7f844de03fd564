//! Notices that the user gets once in a run, the same on both engines.

use core::cell::Cell;

/// A fact that the user should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A call through `int 0x80`, or with an x32 number.
    ForeignCall,
}

impl Notice {
    fn line(self) -> &'static str {
        match self {
            Notice::ForeignCall => "a guest has made a 32-bit or x32 system call, which fated refuses with ENOSYS",
        }
    }
}

/// The notices that the user has got.
#[derive(Debug, Default)]
pub struct Notices(Cell<u8>);

impl Notices {
    /// The line for the user, the first time.
    pub fn first(&self, notice: Notice) -> Option<&'static str> {
        let bit = 1 << notice as u8;
        let given = self.0.replace(self.0.get() | bit);
        (given & bit == 0).then(|| notice.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_given_once() {
        let notices = Notices::default();
        assert!(notices.first(Notice::ForeignCall).is_some());
        assert_eq!(notices.first(Notice::ForeignCall), None);
    }
}
