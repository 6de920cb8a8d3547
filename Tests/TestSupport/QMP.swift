import Foundation
import Synchronization

/// A client of QEMU's monitor protocol. Calls block, one at a time.
public final class QMP: Sendable {
    private struct State {
        var received = Data()
        var events: [JSONValue] = []
    }

    /// What QEMU said first.
    public let greeting: JSONValue
    private let descriptor: Int32
    private let state: Mutex<State>

    /// Connects, waiting until QEMU serves the socket, and negotiates capabilities.
    public init(_ path: String, timeout: Double = 10) throws {
        let connected = try eventuallyFound(within: timeout, "QMP at \(path)") { try connectUnixSocket(path) }
        descriptor = connected
        var first = State()
        do {
            greeting = try Self.nextMessage(connected, &first, timeout)
            state = Mutex(first)
        } catch {
            close(connected)
            throw error
        }
        try execute("qmp_capabilities", timeout: timeout)
    }

    deinit { close(descriptor) }

    /// Executes a command.
    ///
    /// - Returns: what is under `return`.
    /// - Throws: `TestFailure` with QEMU's error, or after `timeout` seconds.
    @discardableResult
    public func execute(_ command: String, _ arguments: JSONValue? = nil, timeout: Double = 10) throws -> JSONValue {
        var call: [String: JSONValue] = ["execute": .string(command)]
        if let arguments { call["arguments"] = arguments }
        let message = JSONValue.object(call).data
        return try state.withLock { state in
            try writeAll(message + Data("\n".utf8), to: descriptor)
            let start = monotonicNanoseconds()
            while true {
                let answer = try Self.nextMessage(descriptor, &state, timeout - secondsSince(start))
                if let result = answer["return"] { return result }
                if answer["event"] != nil {
                    state.events.append(answer)
                } else {
                    throw TestFailure("QMP \(command): \(answer["error"]?["desc"]?.string ?? "\(answer)")")
                }
            }
        }
    }

    /// Waits for an event of this name, and returns it; one that came earlier and wasn't asked for counts.
    public func waitForEvent(_ name: String, timeout: Double = 10) throws -> JSONValue {
        try state.withLock { state in
            let start = monotonicNanoseconds()
            while true {
                if let index = state.events.firstIndex(where: { $0["event"]?.string == name }) {
                    return state.events.remove(at: index)
                }
                state.events.append(try Self.nextMessage(descriptor, &state, timeout - secondsSince(start)))
            }
        }
    }

    /// `query-status`: `running`, `paused`, `inmigrate`, …
    public func status() throws -> String { try execute("query-status")["status"]?.string ?? "" }

    private static func nextMessage(_ descriptor: Int32, _ state: inout State, _ timeout: Double) throws -> JSONValue {
        let start = monotonicNanoseconds()
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            if let end = state.received.firstIndex(of: 10) {
                let line = Data(state.received[state.received.startIndex..<end])
                state.received = Data(state.received[(end + 1)...])
                return try JSONValue(parsing: line)
            }
            let left = timeout - secondsSince(start)
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard left > 0 else { throw TestFailure("QMP: no answer within the time allowed") }
            guard poll(&entry, 1, Int32(left * 1000) + 1) > 0 else { continue }
            let length = read(descriptor, &buffer, buffer.count)
            if length < 0 && errno == EINTR { continue }
            guard length > 0 else { throw TestFailure("QMP: the connection was closed") }
            state.received.append(contentsOf: buffer[..<length])
        }
    }
}
