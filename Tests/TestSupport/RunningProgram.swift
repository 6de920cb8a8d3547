import Foundation
import Synchronization

/// A program that was started. It is not ended when this handle goes away, but by `end`, by the scratch directory it
/// was started in, or with the test process.
public final class RunningProgram: Sendable, CustomStringConvertible {
    /// One of the two streams that are collected.
    public enum Stream: Int, Sendable {
        /// Standard output.
        case output
        /// Standard error.
        case errors
    }

    private struct State {
        var status: Status?
        var endedNanoseconds: UInt64 = 0
        var input: Int32?
    }

    /// Its process id.
    public let pid: pid_t
    /// Its process id and start time.
    public let identity: ProcessIdentity
    /// When it was started, in CLOCK_MONOTONIC.
    public let startedNanoseconds: UInt64
    private let name: String
    private let state: Mutex<State>
    private let collector: Collector?

    init(pid: pid_t, startedNanoseconds: UInt64, name: String, input: Int32?, output: Int32?, errors: Int32?) {
        self.pid = pid
        identity = ProcessIdentity(living: pid) ?? ProcessIdentity(pid: pid, startTime: 0)
        self.startedNanoseconds = startedNanoseconds
        self.name = name
        state = Mutex(State(input: input))
        let hasOutput = output != nil || errors != nil
        collector = hasOutput ? try? Collector(adopting: [output, errors]) : nil
    }

    /// Name, pid and status, for messages.
    public var description: String {
        "\(name) (pid \(pid), \(status.map { "\($0)" } ?? "running"))"
    }

    /// How it ended; nil while it runs. Never blocks.
    public var status: Status? {
        state.withLock { state in
            if state.status == nil { reap(&state) }
            return state.status
        }
    }

    private func reap(_ state: inout State) {
        var waitStatus: Int32 = 0
        guard waitpid(pid, &waitStatus, WNOHANG) == pid else { return }
        state.status = Status(waitStatus: waitStatus)
        state.endedNanoseconds = monotonicNanoseconds()
        if case .success(let minder) = Minder.shared { minder.tell("gone \(pid)") }
    }

    /// Whether it has not ended yet.
    public var isRunning: Bool { status == nil }

    /// When its end was noticed, in CLOCK_MONOTONIC, to about a millisecond while `wait` waits; nil while it runs.
    public var endedNanoseconds: UInt64? { status == nil ? nil : state.withLock { $0.endedNanoseconds } }

    /// Waits for its end.
    ///
    /// - Throws: `TestFailure` with what it wrote, where it still runs after `timeout` seconds. It is left running.
    @discardableResult
    public func wait(timeout: Double = 30) throws -> Status {
        let start = monotonicNanoseconds()
        while true {
            if let status { return status }
            guard secondsSince(start) < timeout else {
                throw TestFailure("\(self) still runs after \(timeout) s; output: \(output); errors: \(errors)")
            }
            pause(milliseconds: secondsSince(start) < 0.2 ? 0.3 : 1)
        }
    }

    /// Waits for its end and for the end of its output, and tells all.
    public func finish(timeout: Double = 30) throws -> Outcome {
        let status = try wait(timeout: timeout)
        let ended = endedNanoseconds ?? startedNanoseconds
        _ = try? eventually(within: 0.5, every: 0.3) { hasEnded(.output) && hasEnded(.errors) }
        return Outcome(
            status: status, outputData: data(.output), errorData: data(.errors),
            seconds: Double(ended - startedNanoseconds) / 1e9)
    }

    /// Sends a signal, unless it has ended.
    public func signal(_ number: Int32) {
        state.withLock { state in
            // Under the lock nobody reaps it, so the pid can't have become another's.
            if state.status == nil { _ = kill(pid, number) }
        }
    }

    /// The processes below it, parents first; none once it has ended.
    public var descendants: [ProcessIdentity] {
        state.withLock { state in
            if state.status == nil { reap(&state) }
            // Its pid may be another's by now, and that one's children are not its.
            return state.status == nil ? processes(descendingFrom: pid) : []
        }
    }

    /// Kills it and everything below it, and reaps it. May be called again.
    public func end() {
        let family = descendants
        signal(SIGKILL)
        for process in family { process.signal(SIGKILL) }
        _ = try? wait(timeout: 5)
        closeInput()
        collector?.stop()
    }

    // MARK: Streams

    /// What it has written so far.
    public func data(_ stream: Stream) -> Data { collector?.data(stream.rawValue) ?? Data() }
    /// Standard output so far.
    public var output: String { String(decoding: data(.output), as: UTF8.self) }
    /// Standard error so far.
    public var errors: String { String(decoding: data(.errors), as: UTF8.self) }

    /// Whether the reader saw end of file: nobody has the stream open any more.
    public func hasEnded(_ stream: Stream) -> Bool {
        collector?.endedNanoseconds(stream.rawValue) != nil || collector == nil
    }

    /// When end of file was seen, in CLOCK_MONOTONIC.
    public func endOfFileNanoseconds(_ stream: Stream) -> UInt64? { collector?.endedNanoseconds(stream.rawValue) }

    /// Waits until it has written `text`.
    ///
    /// - Returns: everything written so far.
    /// - Throws: `TestFailure` after `timeout` seconds, or as soon as the stream has ended without it.
    @discardableResult
    public func waitForOutput(_ text: String, in stream: Stream = .output, timeout: Double = 10) throws -> String {
        let start = monotonicNanoseconds()
        while true {
            let isOver = hasEnded(stream)
            let written = String(decoding: data(stream), as: UTF8.self)
            if written.contains(text) { return written }
            guard !isOver, secondsSince(start) < timeout else {
                throw TestFailure(
                    "\(self) did not write “\(text)” within \(timeout) s; output: \(output); errors: \(errors)")
            }
            pause(milliseconds: 1)
        }
    }

    /// Writes to its standard input, where that is a pipe. Blocks while the pipe is full.
    public func send(_ data: Data) throws {
        guard let input = state.withLock({ $0.input }) else { throw TestFailure("\(self) has no input to write to") }
        try writeAll(data, to: input)
    }

    /// Writes text to its standard input.
    public func send(_ text: String) throws { try send(Data(text.utf8)) }

    /// Closes its standard input, where that is a pipe.
    public func closeInput() {
        state.withLock { state in
            if let input = state.input { close(input) }
            state.input = nil
        }
    }
}
