import Foundation
import TestSupport

extension RunningProgram {
    /// Waits until this command of `leasehold` has asked a supervisor something and awaits the answer: it has a socket, and
    /// stands in one and the same system call.
    func waitUntilItAwaitsAnAnswer() throws {
        var last = ""
        try eventually(within: 30, every: 20, "\(self) asking: \(errors)") {
            let folder = "/proc/\(pid)/fd"
            let isConnected = (try? FileManager.default.contentsOfDirectory(atPath: folder))?.contains {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)"))?.hasPrefix("socket:")
                    == true
            }
            let call = readProcessFile(pid, "syscall").map { String(decoding: $0, as: UTF8.self) } ?? ""
            defer { last = call }
            return isConnected == true && call == last && call.first?.isNumber == true
        }
    }
}
