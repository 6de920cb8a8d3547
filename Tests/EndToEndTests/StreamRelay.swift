import Foundation
import Synchronization
import TestSupport

/// What lies between two emulators: takes one connection, passes its bytes on to another socket, and can be cut.
final class StreamRelay: Sendable {
    /// What to connect to.
    let uri: String
    private let open = Mutex<[Int32]>([])
    private let passed = Mutex(0)

    /// Listens at `path`.
    init(at path: String, to target: String) throws {
        uri = "unix:\(path)"
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, size) }
        }
        guard listener >= 0, result == 0, listen(listener, 1) == 0 else {
            throw TestFailure("can't listen at \(path): errno \(errno)")
        }
        open.withLock { $0 = [listener] }
        Thread { [self] in
            let source = accept(listener, nil, nil)
            guard source >= 0 else { return }
            guard let destination = try? connectUnixSocket(target) else {
                close(source)
                return
            }
            open.withLock { $0 += [source, destination] }
            Thread { self.pass(destination, source) }.start()
            pass(source, destination)
        }.start()
    }

    /// How many bytes went through, both ways.
    var bytes: Int { passed.withLock { $0 } }

    private func pass(_ from: Int32, _ to: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(from, &buffer, buffer.count)
            guard count > 0 else { break }
            var sent = 0
            while sent < count {
                let some = buffer[sent..<count].withUnsafeBytes {
                    send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                // Nobody reads any more: whoever writes hears of that.
                guard some > 0 else { return cut() }
                sent += some
            }
            passed.withLock { $0 += count }
        }
        shutdown(to, Int32(SHUT_WR))
    }

    /// Cuts it, both ways, and takes no more.
    func cut() {
        open.withLock { descriptors in
            for descriptor in descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    deinit {
        open.withLock { descriptors in
            for descriptor in descriptors { close(descriptor) }
        }
    }
}
