//! A port for tests that nothing listens on. All packages' tests share this file.

use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};

/// A port of 127.0.0.1 that no other program or test can get, and on which nothing listens: connecting is refused. A
/// `TcpListener` may be bound to it by its number while this lives.
pub struct Port(Socket);

impl Port {
    pub fn new() -> Port {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // std's listeners have it too: two that have it share a port as long as not both listen.
        socket.set_reuse_address(true).expect("an option");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
        Port(socket)
    }

    pub fn number(&self) -> u16 {
        self.0.local_addr().ok().and_then(|address| address.as_socket()).expect("IPv4").port()
    }
}
