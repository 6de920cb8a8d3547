import Foundation
import TestSupport

/// A blow to the victims of some scenes under one daemon, in what is one instant for them.
struct KillStrike {
    /// When it began, in CLOCK_MONOTONIC.
    let nanoseconds: UInt64
    /// The daemon, where it was hit.
    let daemon: ProcessIdentity?
    /// Whether it ends by that.
    let endsDaemon: Bool

    /// Strikes; the daemon once, and last.
    init(_ scenes: [KillScene], daemon: SanlockDaemon?) throws {
        guard let cell = scenes.first?.cell else { throw TestFailure("no scene to strike") }
        let blow = cell.blow
        endsDaemon = cell.endsDaemon
        self.daemon = daemon.flatMap { ProcessIdentity(living: $0.pid) }
        var targets = scenes.flatMap { $0.targets(daemon: nil) }
        if let daemon = self.daemon { targets.append((.daemon, daemon)) }
        // This thread may have to wait between two signals, and the victim of the second act on the first: a daemon could
        // take leases back that it is to take along, a supervisor end the guest whose keeper is dead before it dies itself.
        let stopped =
            targets.map(\.victim).filter { $0 == .daemon && blow.endsDaemon }
            + (blow == .kill && cell.victims == [.supervisor, .keeper] ? [.supervisor, .keeper] : [])
        try KillStrike.stop(targets.filter { stopped.contains($0.victim) }.map(\.process))
        switch blow {
        case .fault:
            let ours = targets.filter { $0.victim == .supervisor || $0.victim == .keeper }
            for target in ours { try KillStrike.breakCode(of: target.process, target.victim) }
            // Being stopped and continued makes each of them leave its system call, or begin it again.
            try KillStrike.stop(ours.map(\.process))
            nanoseconds = monotonicNanoseconds()
            for (victim, process) in targets {
                process.signal(victim == .supervisor || victim == .keeper ? SIGCONT : SIGSEGV)
            }
        case .stopThenKill:
            try KillStrike.stop(targets.map(\.process))
            pause(milliseconds: 100)
            nanoseconds = monotonicNanoseconds()
            for target in targets { target.process.signal(SIGKILL) }
        case .term, .interrupt, .hangUp, .quit, .kill:
            nanoseconds = monotonicNanoseconds()
            for target in targets { target.process.signal(blow.signal) }
        }
        // What is stopped dies of SIGKILL only.
        if blow.endsDaemon { self.daemon?.signal(SIGCONT) }
    }

    private static func stop(_ processes: [ProcessIdentity]) throws {
        for process in processes { process.signal(SIGSTOP) }
        try eventually(within: 10, every: 0.2, "the stop of \(processes)") {
            // One that wakes up by itself may have ended already.
            processes.allSatisfy { !$0.exists || ProcessStatus($0.pid)?.state == "T" }
        }
    }

    /// Has a process fault once it leaves the system call that its first thread waits in, or begins it again: a SIGSEGV
    /// that is only sent is blocked in supervisor and keeper.
    private static func breakCode(of process: ProcessIdentity, _ victim: KillVictim) throws {
        let memory = open("/proc/\(process.pid)/mem", O_WRONLY | O_CLOEXEC)
        guard memory >= 0 else { throw TestFailure("can't write to the memory of \(process): errno \(errno)") }
        defer { close(memory) }
        // The one that it always comes back to: what it happens to do when it is busy it may not do again.
        let waiting = victim == .supervisor ? ["232", "281"] : ["7", "271"]
        let address = try eventuallyFound(within: 10, "\(process) waiting in a system call") { () -> UInt64? in
            let call = readProcessFile(process.pid, "syscall").map { String(decoding: $0, as: UTF8.self) } ?? ""
            let words = call.split(whereSeparator: \.isWhitespace).map(String.init)
            guard let number = words.first, waiting.contains(number), let last = words.last, last.hasPrefix("0x")
            else { return nil }
            return UInt64(last.dropFirst(2), radix: 16)
        }
        // x86-64's hlt, which no program may execute, in place of `syscall` (two bytes) and of what follows it.
        let code: [UInt8] = [0xf4, 0xf4, 0xf4]
        guard pwrite(memory, code, code.count, off_t(address) - 2) == code.count else {
            throw TestFailure("can't break \(process) at \(address): errno \(errno)")
        }
    }
}
