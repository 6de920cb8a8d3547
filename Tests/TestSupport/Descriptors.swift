import Foundation

/// The system's words for the last error.
func systemError(_ what: String, _ number: Int32 = errno) -> TestFailure {
    TestFailure("\(what): \(String(cString: strerror(number))) (errno \(number))")
}

/// A pipe whose ends no started program inherits by accident.
func makePipe() throws -> (readEnd: Int32, writeEnd: Int32) {
    var ends: [Int32] = [0, 0]
    guard try GNU.pipe(&ends, O_CLOEXEC) == 0 else { throw systemError("can't make a pipe") }
    return (ends[0], ends[1])
}

/// Writes all of `data`, however long that blocks.
func writeAll(_ data: Data, to descriptor: Int32) throws {
    ignoreBrokenPipes
    var done = 0
    try data.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        while done < bytes.count {
            let written = write(descriptor, base + done, bytes.count - done)
            if written < 0 && errno == EINTR { continue }
            guard written >= 0 else { throw systemError("can't write to descriptor \(descriptor)") }
            done += written
        }
    }
}

/// A program that ends early must not take the whole test process with it.
var ignoreBrokenPipes: Void { _ = brokenPipesIgnored }
private let brokenPipesIgnored: Bool = {
    signal(SIGPIPE, SIG_IGN)
    return true
}()

/// Connects to a Unix stream socket.
///
/// - Returns: the descriptor, which the caller owns, or nil where nobody listens (yet).
/// - Throws: `TestFailure` where the path is longer than a socket's path may be.
public func connectUnixSocket(_ path: String) throws -> Int32? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
        throw TestFailure("\(path) is too long for a Unix socket (\(bytes.count) bytes)")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw systemError("can't make a socket") }
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    if result == 0 { return descriptor }
    close(descriptor)
    return nil
}
