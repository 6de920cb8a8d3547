import Foundation
import Glibc
import TestSupport

/// A program whose exec hangs until the gate is opened: the kernel waits for the file lease (`man 2 fcntl`, F_SETLEASE)
/// that this process has on it. Such a wait ends by a signal, as that for most slow storage does.
final class ExecGate: Sendable {
    /// The program, which becomes the one it was made for once the gate is open.
    let path: String
    private let descriptor: Int32

    // Both of <linux/fcntl.h>, which Swift's Glibc doesn't show.
    private static let setSignal: Int32 = 10
    private static let setLease: Int32 = 1024

    /// Makes the program, in front of another one.
    init(to executable: String, at path: String) throws {
        self.path = path
        try Data("#!/bin/sh\nexec '\(executable)' \"$@\"\n".utf8).write(to: URL(fileURLWithPath: path))
        chmod(path, 0o755)
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TestFailure("can't open \(path): errno \(errno)") }
        self.descriptor = descriptor
        // Whoever opens the file makes the kernel signal its lease's owner: by one that is ignored.
        _ = fcntl(descriptor, ExecGate.setSignal, SIGURG)
        try eventually(within: 5, "the lease of \(path)") {
            fcntl(descriptor, ExecGate.setLease, Int32(F_WRLCK)) == 0
        }
    }

    deinit { close(descriptor) }

    /// Lets the exec go on.
    func open() { _ = fcntl(descriptor, ExecGate.setLease, Int32(F_UNLCK)) }

    /// Whether a process hangs at a gate.
    static func holds(_ process: ProcessIdentity) -> Bool {
        readProcessFile(process.pid, "wchan").map { String(decoding: $0, as: UTF8.self).contains("break_lease") }
            ?? false
    }
}
