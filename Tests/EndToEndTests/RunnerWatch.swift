import Foundation
import Synchronization
import TestSupport

/// Looks all the time whether one emulator's guest runs: what its monitor says, and what the kernel counts of its writes to
/// storage. From both follows a time in which it certainly ran; those of two emulators must not overlap.
///
/// Each emulator runs in one piece: what it does between the first sign and the last counts as running.
final class RunnerWatch: Sendable {
    /// What was seen of it. All times are of CLOCK_MONOTONIC, in nanoseconds.
    struct Signs: Sendable {
        /// It had done something by then, at the latest.
        var beganBy = UInt64.max
        /// It has done something since.
        var endedAfter: UInt64 = 0
        /// How many signs.
        var count = 0
        /// How often it was looked, also in vain.
        var looks = 0

        /// Something happened between these moments.
        mutating func add(after: UInt64, by: UInt64) {
            beganBy = min(beganBy, by)
            endedAfter = max(endedAfter, after)
            count += 1
        }
    }

    private struct State {
        var writes = Signs()
        var running = Signs()
        var isEnding = false
        var looking = 2
    }

    let name: String
    private let state = Mutex(State())

    /// Starts to look, in two threads.
    ///
    /// - Parameter socket: a QMP socket of the emulator's that is served to nobody else.
    init(_ name: String, emulator: ProcessIdentity, socket: String) throws {
        self.name = name
        Thread { [self] in
            lookAtWrites(emulator)
            state.withLock { $0.looking -= 1 }
        }.start()
        let monitor = try QMP(socket)
        Thread { [self] in
            lookAtMonitor(monitor)
            state.withLock { $0.looking -= 1 }
        }.start()
    }

    /// What the kernel has counted.
    var writes: Signs { state.withLock { $0.writes } }
    /// What the monitor has said.
    var running: Signs { state.withLock { $0.running } }

    private var goesOn: Bool { state.withLock { !$0.isEnding } }

    private func lookAtWrites(_ emulator: ProcessIdentity) {
        var last = bytesWritten(by: emulator.pid)
        var before = monotonicNanoseconds()
        while goesOn, emulator.exists, let bytes = bytesWritten(by: emulator.pid) {
            let now = monotonicNanoseconds()
            state.withLock { state in
                state.writes.looks += 1
                if bytes != last { state.writes.add(after: before, by: now) }
            }
            last = bytes
            before = now
            pause(milliseconds: 4)
        }
    }

    // One that answers late or never says nothing.
    private func lookAtMonitor(_ monitor: QMP) {
        while goesOn {
            let asked = monotonicNanoseconds()
            guard let word = try? monitor.execute("query-status", timeout: 600)["status"]?.string else { return }
            let answered = monotonicNanoseconds()
            state.withLock { state in
                state.running.looks += 1
                if word == "running" { state.running.add(after: asked, by: answered) }
            }
            pause(milliseconds: 8)
        }
    }

    /// Stops looking; returns when that is so, or when the monitor hangs.
    func end() {
        state.withLock { $0.isEnding = true }
        _ = try? eventually(within: 1, "the end of the watch of \(name)") { state.withLock { $0.looking == 0 } }
    }

    /// What shows that both ran, or wrote, at one moment; nil where nothing does.
    static func overlap(_ one: RunnerWatch, _ other: RunnerWatch) -> String? {
        for (what, mine) in [("wrote", one.writes), ("ran", one.running)] {
            for (how, yours) in [("wrote", other.writes), ("ran", other.running)] {
                // The kernel counts some of what is no guest's, such as a socket's name that is removed: one such sign shows nothing.
                if mine.count < (what == "wrote" ? 2 : 1) || yours.count < (how == "wrote" ? 2 : 1) { continue }
                if mine.endedAfter <= yours.beganBy || yours.endedAfter <= mine.beganBy { continue }
                let began = max(mine.beganBy, yours.beganBy), ended = min(mine.endedAfter, yours.endedAfter)
                // Of a single sign the end comes before the beginning.
                let common = ended > began ? ended - began : 0
                return "\(one.name) \(what) while \(other.name) \(how), for \(common / 1_000_000) ms or more"
            }
        }
        return nil
    }
}

extension DiskObserver {
    /// How often the number of guest 1 on the disk was lower than before.
    var falls: Int {
        let numbers = writes(of: 1).map(\.number)
        return zip(numbers, numbers.dropFirst()).count { $0 > $1 }
    }
}

/// What the kernel has counted of a process's writes to storage; nil where it is gone.
private func bytesWritten(by pid: pid_t) -> UInt64? {
    guard let data = readProcessFile(pid, "io") else { return nil }
    let line = String(decoding: data, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("write_bytes: ") }
    return line.flatMap { UInt64($0.dropFirst(13)) }
}
