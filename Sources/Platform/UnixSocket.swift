import CPlatform
import Glibc

/// Stream sockets in the file system. Source: `man 7 unix`.
public enum UnixSocket {
    /// The longest path that a socket's address holds, in bytes.
    public static let longestPath = 107

    /// Makes a socket that listens at a path, readable and writable by its owner alone.
    ///
    /// - Throws: ENAMETOOLONG where the path is longer than `longestPath`.
    public static func listen(at path: String) throws(SystemError) -> Descriptor {
        let descriptor = try make()
        try withAddress(path) { address, size throws(SystemError) in
            // The mode comes from the umask at bind; the directory is the owner's alone as well.
            let mask = umask(0o177)
            defer { umask(mask) }
            try checked("bind", on: path) { bind(descriptor.number, address, size) }
        }
        try checked("listen", on: path) { Glibc.listen(descriptor.number, 128) }
        return descriptor
    }

    /// Connects to a socket; blocking from then on.
    ///
    /// - Parameter timeoutSeconds: how long to wait in each call, this one too; nil: as long as it takes.
    /// - Throws: EAGAIN where the time is over.
    public static func connect(to path: String, timeoutSeconds: Double? = nil) throws(SystemError) -> Descriptor {
        let descriptor = Descriptor(
            adopting: try checked("socket") {
                socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            })
        setTimeout(descriptor, seconds: timeoutSeconds)
        try withAddress(path) { address, size throws(SystemError) in
            try checked("connect", on: path) { Glibc.connect(descriptor.number, address, size) }
        }
        return descriptor
    }

    /// Connects without waiting, and stays non-blocking.
    ///
    /// - Throws: EAGAIN where the listener has no room for another that waits.
    public static func connectAtOnce(to path: String) throws(SystemError) -> Descriptor {
        let descriptor = try make()
        try withAddress(path) { address, size throws(SystemError) in
            try checked("connect", on: path) { Glibc.connect(descriptor.number, address, size) }
        }
        return descriptor
    }

    /// Sends bytes with a copy of a descriptor (SCM_RIGHTS). Returns how many went; nil: none, since there is no room.
    public static func send(
        _ bytes: [UInt8], with descriptor: Int32, to socket: borrowing Descriptor
    ) throws(SystemError) -> Int? {
        let count = bytes.withUnsafeBytes {
            leasehold_send_descriptor(socket.number, $0.baseAddress, $0.count, descriptor)
        }
        if count < 0 {
            if errno == EAGAIN || errno == EINTR { return nil }
            throw SystemError("sendmsg")
        }
        return count
    }

    /// The next client that waits, non-blocking; nil where none does.
    public static func accept(from listener: borrowing Descriptor) throws(SystemError) -> Descriptor? {
        let number = listener.number
        do throws(SystemError) {
            let client = try checked("accept4") {
                leasehold_accept(number)
            }
            return Descriptor(adopting: client)
        } catch {
            guard error.number == EAGAIN || error.number == ECONNABORTED else { throw error }
            return nil
        }
    }

    /// Who is at the other end of a socket; nil where the kernel doesn't say.
    public static func peer(of socket: Int32) -> (user: UInt32, group: UInt32, process: Int32)? {
        var user: uid_t = 0
        var group: gid_t = 0
        var process: pid_t = 0
        return leasehold_peer(socket, &user, &group, &process) ? (user, group, process) : nil
    }

    /// Tells the service manager how things are. Source: `man 3 sd_notify`; a name that begins with `@` is abstract.
    public static func notify(_ text: String, at path: String) {
        guard
            let descriptor = try? Descriptor(
                adopting: checked("socket") { socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0) })
        else { return }
        let bytes = Array(text.utf8)
        try? withAddress(path) { address, size throws(SystemError) in
            try checked("sendto") { sendto(descriptor.number, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, size) }
        }
    }

    /// Sends all bytes on a blocking socket. A reader that is gone is EPIPE and no signal, whatever the process has set.
    ///
    /// - Throws: EAGAIN where the socket's time is over.
    public static func send(_ bytes: [UInt8], to socket: borrowing Descriptor) throws(SystemError) {
        let number = socket.number
        var done = 0
        while done < bytes.count {
            done += try checked("send") {
                bytes.withUnsafeBytes {
                    Glibc.send(number, $0.baseAddress.map { $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL))
                }
            }
        }
    }

    // Limits how long a blocking call may take; 0 would be no limit.
    private static func setTimeout(_ client: borrowing Descriptor, seconds: Double?) {
        guard let seconds else { return }
        let microseconds = Int(max(seconds, 0.001) * 1e6)
        var value = timeval(tv_sec: microseconds / 1_000_000, tv_usec: microseconds % 1_000_000)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(client.number, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    private static func make() throws(SystemError) -> Descriptor {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        return Descriptor(adopting: try checked("socket") { socket(AF_UNIX, kind, 0) })
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        var address = sockaddr_un()
        let bytes = Array(path.utf8)
        guard bytes.count <= longestPath else { throw SystemError("bind", on: path, number: ENAMETOOLONG) }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        if bytes.first == UInt8(ascii: "@") {
            withUnsafeMutableBytes(of: &address.sun_path) { $0[0] = 0 }
            size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> Result<Void, SystemError> in
                Result { () throws(SystemError) in try body(address, size) }
            }
        }
        try result.get()
    }
}
