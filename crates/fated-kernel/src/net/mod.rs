//! Sockets (socket(7)), as `net` of Linux.
//!
//! A [`Socket`](socket::Socket) has what all families have in common: type, options, timeouts. Behind it stands the endpoint of a
//! family: now those of [`unix`] alone. An endpoint of AF_INET is to go to `inet` (tcp, udp, icmp) and becomes another variant of
//! [`Protocol`](socket::Protocol); what carries its packets is to go to `device`, and netlink(7) to `netlink`.
//!
//! [`msg`] is what send(2) and recv(2) move besides the bytes. The layouts of `struct msghdr` and of options are the matter of calls.

pub mod msg;
pub mod socket;
pub mod unix;

/// The type of a socket: how it cuts what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stream of bytes (`SOCK_STREAM`).
    Stream,
    /// Messages (`SOCK_DGRAM`).
    Datagram,
    /// Messages in a connection (`SOCK_SEQPACKET`).
    Packet,
}

/// The default of `SO_SNDBUF` and `SO_RCVBUF` (`/proc/sys/net/core/wmem_default`).
pub const BUFFER: usize = 212_992;
