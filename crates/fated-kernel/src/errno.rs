//! Error numbers, as `<asm-generic/errno.h>` has them.

use core::fmt;

/// An error number of Linux. Never 0. As wide as a value, so that a result with one of either fits into two registers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Errno(u64);

macro_rules! errnos {
    ($($name:ident)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`.")]
            pub const $name: Errno = Errno(linux_raw_sys::errno::$name as u64);)*

            /// The symbolic name, as strace(1) prints it.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Errno::$name => Some(stringify!($name)),)*
                    Errno::ERESTARTSYS => Some("ERESTARTSYS"),
                    Errno::ERESTARTNOINTR => Some("ERESTARTNOINTR"),
                    Errno::ERESTARTNOHAND => Some("ERESTARTNOHAND"),
                    Errno::ERESTART_RESTARTBLOCK => Some("ERESTART_RESTARTBLOCK"),
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST
    EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM
    ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ENODATA ETIME ENOPKG EOVERFLOW EBADFD EILSEQ
    ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT
    EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN
    ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED EOWNERDEAD
    ENOTRECOVERABLE ELIBBAD
}

impl Errno {
    /// Restart if the handler asked for it or there is none, else `EINTR` (`include/linux/errno.h`).
    /// This one and the three below never reach a guest.
    pub const ERESTARTSYS: Errno = Errno(512);
    /// Restart whatever handlers asked for.
    pub const ERESTARTNOINTR: Errno = Errno(513);
    /// Restart only if no handler runs.
    pub const ERESTARTNOHAND: Errno = Errno(514);
    /// Restart through restart_syscall(2) with what is left of the time.
    pub const ERESTART_RESTARTBLOCK: Errno = Errno(516);

    /// The error that a call's return value stands for, if it is one.
    #[must_use]
    pub fn of_return(value: i64) -> Option<Errno> {
        (-4095..0).contains(&value).then(|| Errno(value.unsigned_abs()))
    }

    /// The positive number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// The error of a positive number; anything that is none becomes `EIO`.
    #[must_use]
    pub fn from_number(number: i32) -> Errno {
        if (1..4096).contains(&number) { Errno(number as u64) } else { Errno::EIO }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl core::error::Error for Errno {}
