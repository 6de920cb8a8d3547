import ControlProtocol
import Glibc
import GuestDirectory
import Platform
import Supervision
import SupervisorConnection

extension Problem {
    /// A supervisor that wasn't found, or didn't do what it was asked for.
    init(_ error: ConnectionError) {
        self.init(Problem.code(of: error), error.message)
    }

    private static func code(of error: ConnectionError) -> Int32 {
        switch error {
        case .noSuchGuest, .gone: Problem.notFound
        case .unreachable(_, let error) where error.number == EACCES || error.number == EPERM: Problem.notPermitted
        case .refused(_, let refusal): code(of: refusal)
        case .silent, .unreachable, .notListening, .unreadable, .unexpected: Problem.unavailable
        }
    }

    private static func code(of refusal: ControlError) -> Int32 {
        switch refusal {
        case .busy, .wrongState: ExitStatus.Code.busy
        case .leaseLost: ExitStatus.Code.leaseLost
        case .notPermitted, .permissionDenied: Problem.notPermitted
        case .invalidResource: Problem.notFound
        case .invalidParameter: ExitStatus.Code.usage
        case .unavailable, .interfaceNotFound, .methodNotFound, .methodNotImplemented, .expectedMore, .other:
            Problem.unavailable
        }
    }
}

/// Calls a supervisor that answers at once, or is stopped or gone.
func ask<Answer>(
    _ guest: FoundGuest, named name: String, in directory: RunDirectory, _ call: Call,
    _ read: (ReplyMessage) throws(WireError) -> Answer
) throws -> Answer {
    do throws(ConnectionError) { return try guest.ask(call, timeoutSeconds: 5, read) } catch {
        switch error {
        case .silent: throw Problem(.silent(name, supervisorPid: guest.supervisorPid))
        case .gone: throw Problem(.noSuchGuest(name, directory: directory.guests))
        // Nothing is in anybody's way: what was asked for isn't there yet.
        case .refused(_, .wrongState): throw Problem(Problem.unavailable, error.message)
        default: throw Problem(error)
        }
    }
}

/// Asks a guest's supervisor for its status.
func status(of guest: FoundGuest, named name: String, in directory: RunDirectory) throws -> WireStatus {
    try ask(guest, named: name, in: directory, .getStatus) { reply throws(WireError) in try reply.value("status") }
}

/// What is waited for of a supervisor, and since when, on a terminal.
struct WaitingLine {
    private let doing: String
    private let seconds: Double?
    private var line = TerminalLine(on: 2)
    private let began = Clock.monotonicSeconds()

    /// - Parameters:
    ///   - doing: what is being done, `migrating web1`.
    ///   - seconds: how long to wait at most; nil: as long as it takes.
    init(_ doing: String, atMost seconds: Double? = nil) {
        self.doing = doing
        self.seconds = seconds
    }

    /// Waits for the next answer; nil when the supervisor has ended.
    mutating func next(on connection: GuestConnection) throws(ConnectionError) -> ReplyMessage? {
        if let message = try connection.waiting() { return message }
        defer { line.clear() }
        var wait = pollfd(fd: connection.number, events: Int16(POLLIN), revents: 0)
        // What is done at once gets no line.
        while line.hasReader, poll(&wait, 1, 700) == 0 {
            let passed = Clock.monotonicSeconds() - began
            line.show("leasehold: \(doing)", end: " (\(Int(passed)) s)")
            if let seconds, passed > seconds { throw connection.silence }
        }
        return try connection.next()
    }
}

/// Gives an order and waits until it is done, saying so on a terminal.
func order(
    _ call: Call, _ connection: GuestConnection, doing what: String, atMost seconds: Double? = nil
) throws(ConnectionError) -> ReplyMessage {
    try connection.send(call)
    var line = WaitingLine(what, atMost: seconds)
    guard let reply = try line.next(on: connection) else { throw .gone(connection.name) }
    return reply
}

/// The same on a connection of its own to a guest of this host.
func order(
    _ call: Call, _ guest: String, in directory: RunDirectory, doing what: String
) throws(ConnectionError) -> ReplyMessage {
    try order(call, try FoundGuest.named(guest, in: directory), doing: "\(what) \(guest)")
}

/// The same.
func order(
    _ call: Call, _ found: FoundGuest, doing what: String, atMost seconds: Double? = nil
) throws(ConnectionError) -> ReplyMessage {
    try found.overUpgrades { () throws(ConnectionError) in
        try order(call, try GuestConnection(found, timeoutSeconds: seconds), doing: what, atMost: seconds)
    }
}
