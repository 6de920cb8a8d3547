import Foundation
import Synchronization

/// Lines that are written when the test process ends, so that the tail of a long log shows what failed and why.
enum LastWords {
    private static let lines = Mutex<[String]>([])

    private static let isRegistered: Bool =
        atexit {
            let text = LastWords.lines.withLock { $0 }.joined(separator: "\n")
            if !text.isEmpty { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
        } == 0

    static func add(_ more: [String]) {
        guard isRegistered else { return }
        lines.withLock { $0 += more }
    }
}
