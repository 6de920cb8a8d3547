import Foundation
import Synchronization

/// A program on a terminal of its own, such as an interactive shell. Calls block.
public final class Terminal: Sendable {
    /// The program: leader of its session, all three streams on the terminal.
    public let program: RunningProgram
    /// The terminal's name, `/dev/pts/N`.
    public let name: String
    private let master: Int32
    private let collector: Collector
    private let consumed = Mutex(0)

    /// Starts a program on a new terminal of 24 lines and 200 columns.
    ///
    /// - Parameter program: its standard streams and session are replaced.
    public init(_ program: Program) throws {
        var slave: Int32 = -1
        var opened: Int32 = -1
        var path = [CChar](repeating: 0, count: 128)
        var size = winsize(ws_row: 24, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0)
        guard openpty(&opened, &slave, &path, nil, &size) == 0 else { throw systemError("can't open a terminal") }
        master = opened
        defer { close(slave) }
        for end in [opened, slave] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        name = path.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }

        var changed = program
        changed.input = .descriptor(slave)
        changed.output = .descriptor(slave)
        changed.errors = .descriptor(slave)
        changed.inheritance.newSession = true
        changed.inheritance.controllingTerminal = 0
        self.program = try changed.start()
        // The collector gets a copy, since it closes what it reads.
        collector = try Collector(adopting: [fcntl(master, F_DUPFD_CLOEXEC, 3)])
    }

    /// An interactive bash without anybody's settings, its prompt `$ `.
    public static func shell(environment: [String: String] = [:], directory: String? = nil) throws -> Terminal {
        var plain = environment
        plain.merge(["PS1": "$ ", "TERM": "dumb", "HISTFILE": "/dev/null"]) { given, _ in given }
        let terminal = try Terminal(
            Program("bash", ["--norc", "--noprofile", "--noediting", "-i"], environment: plain, directory: directory))
        try terminal.expect("$ ")
        return terminal
    }

    /// Everything that was written to the terminal, echoes included; lines end in CR LF.
    public var transcript: String { String(decoding: collector.data(0), as: UTF8.self) }

    /// The foreground process group.
    public var foregroundGroup: pid_t { tcgetpgrp(master) }

    /// Types text. `\n` is the Enter key, `\u{3}` Ctrl-C, `\u{1a}` Ctrl-Z, `\u{1c}` Ctrl-\, `\u{4}` Ctrl-D.
    public func send(_ text: String) throws { try writeAll(Data(text.utf8), to: master) }

    /// Waits until `text` is written, after what earlier calls have matched.
    ///
    /// What is typed is echoed: expect what the program makes of it.
    /// - Returns: what came before it.
    @discardableResult
    public func expect(_ text: String, timeout: Double = 10) throws -> String {
        let start = monotonicNanoseconds()
        let wanted = Data(text.utf8)
        while true {
            let isOver = collector.endedNanoseconds(0) != nil
            let data = collector.data(0)
            let from = consumed.withLock { $0 }
            if let range = data.range(of: wanted, in: from..<data.count) {
                consumed.withLock { $0 = range.upperBound }
                return String(decoding: data[from..<range.lowerBound], as: UTF8.self)
            }
            guard !isOver, secondsSince(start) < timeout else {
                throw TestFailure(
                    "“\(text)” did not come on the terminal within \(timeout) s"
                        + (isOver ? ", which nobody has open any more" : "")
                        + "; since the last match: \(String(decoding: data[from...], as: UTF8.self))")
            }
            pause(milliseconds: 1)
        }
    }

    /// Hangs up as a closed window does: whoever still uses the terminal gets SIGHUP and end of file.
    public func hangUp() { collector.stop(); closeMaster() }

    /// Kills the program and what it has started, and closes the terminal. May be called again.
    public func end() {
        let session = allProcesses().compactMap { pid -> ProcessIdentity? in
            guard let status = ProcessStatus(pid), status.session == program.pid else { return nil }
            return ProcessIdentity(pid: pid, startTime: status.startTime)
        }
        program.end()
        for process in session { process.signal(SIGKILL) }
        hangUp()
    }

    private let isClosed = Mutex(false)

    private func closeMaster() {
        isClosed.withLock { isClosed in
            if !isClosed { close(master) }
            isClosed = true
        }
    }
}
